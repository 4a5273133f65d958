// Package export keeps read models of lanes current in databases. For each lane
// and target there is a feed: a reader of the log, a machine that decides what the
// lane decided, and the target, all of their own, so that one that waits holds up
// no other.
package export
