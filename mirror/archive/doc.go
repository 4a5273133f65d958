// Package archive keeps a lane's log on disk: the ring's records as they are,
// in segment files of one size, with an index and a hash chain over all of them.
//
//	<dir>/00000000000000000000.seg.zst   closed, compressed
//	<dir>/00000000000067100672.seg       closed: header page, records, seal page
//	<dir>/00000000000134201344.seg       being written: its seal page is zero
//	<dir>/….idx                          the segment's blocks: position, time, chain
//	<dir>/cut-<epoch>-<position>.log     what a rejoining node's log lost: raw records
//	<dir>/damaged-<position>.log         what recovery took off: raw bytes
//	<dir>/notes.log                      what was cut, damaged or missed, a line each
//
// A record's place in its file follows from its position in the log, and its
// header holds that position and a checksum: nothing needs to be believed that
// is not checked. docs/replication.md has the formats byte by byte.
//
// Files: format.go and index.go are the layouts, chain.go the hash chain;
// segment.go writes one segment, writer.go all of them, recover.go and scan.go
// find the end after a crash, cut.go takes an end off, compress.go and retain.go
// look after closed segments; follower.go moves records out of a ring, align.go
// compares the two first; reader.go reads, verify.go proves.
//
// Nothing here runs on an order's path. The Follower belongs to one goroutine;
// what other threads may ask it is said there.
package archive
