// Package frame builds and parses the Ethernet, IPv4 or IPv6, and UDP headers around
// an order or link datagram. It is pure and allocates nothing.
package frame
