// Package policy decides up to which position of the log outputs may leave, and
// what happens when those who must hold a record do not answer. It is pure.
//
//	              ┌─ Policy ──► position up to which outputs may leave
//	View ─────────┤
//	(who holds    └─ Wait ────► flowing, waiting, expired: degrade, reject, stop
//	 what)
//
// Four policies ship: none, mirrored, applied and archived. Others implement
// Policy, and Observer if they must see the records, and are made known by
// Register before a configuration names them; onebeat/engine/policies has two.
// Whatever they say, nothing leaves before mirrored would let it.
//
// Which policy a lane has, and how long it waits, are its Terms. They can change
// while it runs: a Change is a record of the lane's log.
package policy
