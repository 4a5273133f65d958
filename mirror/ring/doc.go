// Package ring is a lane's log in memory: a power-of-two buffer addressed by
// absolute byte position, filled with checksummed records.
//
// There is one writer at a time: the engine of the ACTIVE node, user space of
// a SYNCING one, or the kernel's link program of a STANDBY. Readers follow
// tail: a record counts from the moment the tail has moved behind it, and the
// store of the tail (sequentially consistent, so a release) is what publishes
// its bytes. The tail lives in the lane table, the bytes in the ring's map;
// both outlive the process.
//
//	position 0          tail-size           applied      tail
//	────┬───────────────────┬──────────────────┬───────────┬────────►
//	    │    overwritten    │  held, applied   │  unread   │ free until
//	    │                   │                  │           │ applied+size
//
// A record is a 32-byte header and a payload, zero padded to a multiple of 32
// bytes, at most 1,024 bytes in all, and never crosses the ring's end: a
// padding record fills what is left there.
package ring
