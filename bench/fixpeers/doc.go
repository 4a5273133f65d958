// Package fixpeers is FIX of other makes, to try and to measure ours against: an
// order entry client on QuickFIX/C++ with its own file store (quickfix.cpp, built
// with the host's compiler), which writes down what it saw, and an acceptor on
// plain quickfixgo with its file store.
package fixpeers
