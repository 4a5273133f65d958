// Package wire is the link between the nodes of a lane: the header of a link
// frame, its authentication and the body of HELLO.
//
// A link frame is a UDP datagram between link NICs. This package sees what is
// behind the UDP header: 96 bytes of struct ob_link_hdr, then whole records,
// then at most one finished outgoing frame, the ride.
//
//	0        96              96+length        96+length+ride
//	┌─────────┬─────────────────┬───────────────┐
//	│ header  │ records (x 32)  │ ride          │
//	└─────────┴─────────────────┴───────────────┘
//	└─────────────── NH, then SipHash-2-4 ──────┘
//
// The MAC is SipHash-2-4, keyed by direction, over the frame's counter and the
// NH hash (32x32 multiply, RFC 4418 section 5.2.2) of header and payload. The
// header is hashed with two sums: its key and position vouch for all the rest.
package wire
