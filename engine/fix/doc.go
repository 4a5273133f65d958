// Package fix lets clients in by FIX 4.2 and 4.4 over TCP: it is the side of the lane's
// FIX sessions that has connections, clocks and files. Their numbers and messages are
// the lane's (package store), so a session goes on at another node with the next number.
//
// Messages, dictionaries and their checks are quickfixgo's. Its session is not used for
// the acceptor: it numbers a message in a goroutine before anything stores it, so each
// message would cost a round trip through the log of its own behind the order's, it
// starts up to a second late, which a failover has not got, it answers
// NextExpectedMsgSeqNum with a gap fill over orders' reports, and it cannot be given a
// connection. The rules here follow the FIX session layer's test cases, and
// quickfixgo's texts where the standard leaves them open; its acceptance suite is part of
// this package's tests. The session with a venue (Initiator) follows the same rules from
// the other side.
package fix
