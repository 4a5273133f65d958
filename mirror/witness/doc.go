// Package witness carries the frames of package arbiter over UDP: Client asks
// from a node's loop, Server answers from a third host.
//
// A client is one lane's: it never blocks, starts nothing and allocates
// nothing, so the loop's thread uses it directly. The server keeps the
// registers in memory and nowhere else: one that was started again knows
// nothing, says so, and is seeded.
//
//	node's loop ── Swap, Poll ──► Client ═══ UDP, one datagram each way ═══ Server ──► arbiter.Seat
package witness
