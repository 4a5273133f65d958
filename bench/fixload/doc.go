// Package fixload loads FIX acceptors over TCP: a client that does little more than
// write orders and read reports, so that what is measured is the other end; and
// strangers who open connections and say nothing. It measures onebeat beside plain
// quickfixgo with its file store, in turns.
package fixload
