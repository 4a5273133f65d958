// Package convert turns FIX 4.2 and 4.4 messages into the schema's and back: the
// requests of clients, and the reports about them. An acceptor reads requests and
// writes reports, a session with a venue writes requests and reads reports.
//
// It is pure: two machines of one configuration write the same bytes. Nothing here
// knows sequence numbers or connections.
package convert
