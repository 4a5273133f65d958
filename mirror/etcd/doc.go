// Package etcd keeps the lanes' registers in an etcd cluster: one key for each
// lane, changed by transactions that are guarded by its revision.
//
// etcd answers in milliseconds and over gRPC, so a goroutine asks it, off the
// loop's thread. The two meet in a pair of mailboxes of atomics; an eventfd
// wakes the goroutine.
//
//	node's loop ── Swap, Poll ──► Arbiter ══ mailboxes ══ worker ──► every member, first answer counts
//
// A member that died with the host it stood on must not cost a timeout, so each
// question goes to all members at once. A transaction that arrives twice finds
// its own change and says so: the register's rule grants what is there already.
package etcd
