// Package fixp is FIXP 1.1 over UDP as pure cores: Server, the acceptor of many
// sessions, and Initiator, the client side of one.
//
// The client's flow is idempotent: a message carries a number, the server does
// nothing twice and says NotApplied for numbers it will never apply. The
// server's flow is recoverable: the last messages are kept and sent again on
// request. Numbering, recorded answers and the kept messages are replicated
// state: they change only when a record is applied. Which address a peer was
// last heard from, when, and what was sent since is local to the primary.
//
// Session keys: a session proves itself with SipHash-2-4 over its Negotiate and
// Establish under its own key. Order frames themselves are not authenticated,
// as everywhere on order networks; they are only taken from the address the
// session was established from.
package fixp
