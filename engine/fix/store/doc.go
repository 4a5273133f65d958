// Package store is the replicated state of a lane's FIX sessions: their numbers, the
// messages they sent, who is logged on, and which ClOrdIDs stand for which orders. It
// is what a FIX engine keeps in files, kept in the lane's log instead: every change is
// a record, and whoever applies the same records has the same numbers and the same
// bytes.
//
// A message gets its MsgSeqNum where its record is applied. So the answer to an order
// is covered by the order's own record, as every output of the lane is, and costs no
// round trip of its own; a session's own messages (Logon, Heartbeat, Reject) are
// drafted outside and numbered here.
//
// The package is pure. Connections, clocks and timers are package fix's.
package store
