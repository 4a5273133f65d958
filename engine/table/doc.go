// Package table holds the bounded structures of the order path: an exact hash
// table from u64 to u32 and a window of used numbers. Both are allocated once
// and say no when they are full; neither depends on anything but the calls made,
// so replicas stay equal.
package table
