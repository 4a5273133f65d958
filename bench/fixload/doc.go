// Package fixload loads FIX acceptors over TCP: a client that does little more than
// write orders and read reports, so that what is measured is the other end. It
// measures onebeat beside plain quickfixgo with its file store, in turns; and a session
// of FIX and one of FIXP beside those who attack the lane, each at a fixed rate and of
// the lowest priority, in turns with nobody and with the same attack on somebody else:
// on a small machine an attacker's own work would else be what is measured.
package fixload
