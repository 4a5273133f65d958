// Package operator is what a person tells a running lane: commands, as they stand
// in the lane's log with who gave them and when, and what became of them.
//
// A command is the payload of a RecordOperator. It reaches the log through the
// node's control socket, whose kernel names the person; the loop of the ACTIVE node
// appends it, and every node that applies the record does the same with it. The
// person is answered once the record may be seen: what is answered survives a
// failover as an order does.
//
// Every command has the same arguments, so that all of them are read, printed and
// checked in one way; which of them count is said at its Kind.
//
//	 0  mark            9 bytes, "\x00command\x01"; other operator records begin otherwise
//	 9  version         u8, 1
//	10  kind            u16, and all that follow little-endian
//	12  uid             u32, of the person at the control socket
//	16  when            i64, ns since 1970 by the node's clock
//	24  session         u32, None: not named
//	28  account         u32, None: not named
//	32  symbol          u32, None: not named
//	36  what            u32
//	40  order           u64
//	48  value           i64
//	56  price           i64
//	64  length of who   u8, at most 32
//	65  length of why   u8, at most 120
//	66  who, why
package operator
