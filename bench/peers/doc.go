// Package peers is what onebeat's echo is compared with: an AF_XDP echo in C,
// one on the per-packet path of github.com/asavie/xdp, and echoes on kernel UDP
// sockets in Go and in C. A peer answers UDP on one queue of one interface; who measures is somebody else's concern. The
// C program is also a measuring client, so that two echoes can be compared
// without a line of Go on the client's side.
package peers
