// Package recv is the link program's rules in Go: what a node does with a link
// frame, and what its timer concludes from silence. It serves the UDP stand-in,
// which has no kernel program, and is the model the kernel program is compared
// with, frame by frame. bpf/link.bpf.c, bpf/lane.h and bpf/watch.h say the same
// things in the same order; a change here is a change there.
//
//	            ┌─ refused: counted by reason
//	frame ──► checks ──► MAC, counter ──► newer epoch? ──► by type and state
//	                                        │
//	                                        └► SYNCING, user space takes over
//
// The kernel (and this package) acts only in its own epoch: in STANDBY it
// appends, in ACTIVE it releases. Nothing here ever makes a lane ACTIVE.
package recv
