// Package table holds the bounded structures of the order path: an exact hash
// table from u64 to u32, a window of used numbers and the places of orders. All
// are allocated once and say no when they are full; none depends on anything but
// the calls made, so replicas stay equal.
package table
