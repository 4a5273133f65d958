// Package xdp moves whole Ethernet frames between a NIC queue and one
// goroutine. Socket does it over AF_XDP, UDPSocket over ordinary UDP sockets
// for hosts without XDP or root; both are a Port. A Mux divides a Socket among
// several users on one thread, each with a Port of its own.
//
// The hot path (fill.go, completion.go, rx.go, tx.go) is ours: cached ring
// indices, batching and need_wakeup over the four rings of a socket that
// github.com/asavie/xdp creates and closes. Everything else is cold: looking
// at interfaces, attaching programs, resolving neighbours. What cannot work is
// refused by a *Refusal, whose text names the remedy.
package xdp
