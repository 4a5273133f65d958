// Package reader lets other processes on a node's host follow a lane's log
// through shared memory, with no effect on the engine: the ring is mapped
// read-only, and nobody waits for a reader.
//
//	archive  ├───────────────┬────────┤
//	ring             │       ├────────┼─────────┬──────┤ tail
//	                 oldest         position   committed
//
// A Reader reads where the log still is: in the ring, else in the lane's archive,
// and comes back to the ring when it has caught up, without gap or double. It
// outlives the node: an engine that is restarted goes on with the same memory, and
// memory that was replaced (node --cleanup, a restart of the host) is opened anew,
// once it is proven to hold the same log.
//
// What it returns is committed: held by every member of the lane's in-sync set, so
// that no failover takes it back. With Config.Uncommitted it is all there is, and a
// Cut tells what was taken back.
//
// Files: reader.go is Next, hot while there is something to read; slow.go is what
// comes between, memory.go what is mapped, history.go the archive, mark.go where a
// reader resumes.
package reader
