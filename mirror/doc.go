// Package mirror keeps a lane's log equal on two nodes and decides who writes
// it. A Replica is one node's part in one lane: the ring, the sender of mirror
// frames, the view of the peer's ACKs, and the role machine's hands.
//
// Everything here runs on the engine loop's thread. The receiving half is in
// the kernel (bpf/link.bpf.c) or, in the UDP stand-in, in package recv; both
// meet this package in the lane table and the authority word only.
//
// Files: replica.go holds the parts together; link.go builds link frames;
// send.go is the hot path from ring to wire; hello.go sets up keys and catches
// a standby up; cut.go takes off what a rejoining node has too much; effects.go
// carries out what the role machine wants; follow.go reads the ring on a
// standby; lease.go is what policy none has instead of ACKs.
package mirror
