// Package lanetcp brings TCP to a lane address. The address is on the loopback
// interface of every node of the lane, all the time, and so is the listener: at a
// failover nothing moves but the authority word, by which the kernel programs let
// segments in and out (bpf/tcp.h, bpf/stack.bpf.c), and the announcement of the
// address. The new primary's stack knows nothing of the old one's connections and
// answers their segments with RST: clients connect again at once.
package lanetcp
