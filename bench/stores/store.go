package stores

import (
	"errors"
	"fmt"
	"net/netip"

	"onebeat/bench/lab"
)

// PayloadBytes of a write are those of an order's datagram.
const PayloadBytes = 84

// Store answers a write once a second host has it.
type Store interface {
	// Name is how reports call it.
	Name() string
	// What says in words what a write of it means.
	What() string
	// Start brings it up in the lab and connects; what is missing on this
	// machine is ErrMissing.
	Start(l *lab.Lab) error
	// Write makes one write and returns when it is answered.
	Write(payload []byte) error
	// Copied returns how many writes the second host has.
	Copied() (int, error)
	// Stop ends it and removes its files.
	Stop() error
}

// ErrMissing is wrapped by a Missing.
var ErrMissing = errors.New("not installed")

// Missing says how to install what a store needs.
type Missing struct{ Program, Install string }

func (m *Missing) Error() string {
	return fmt.Sprintf("%s is %v: %s", m.Program, ErrMissing, m.Install)
}

// Is implements errors.Is.
func (m *Missing) Is(target error) bool { return target == ErrMissing }

// All returns every store, none of them started.
func All() []Store {
	return []Store{&Redis{}, &Postgres{}, &Etcd{}, &Raft{}}
}

// at is an address of a lab with a port.
func at(ip [4]byte, port uint16) string {
	return netip.AddrPortFrom(netip.AddrFrom4(ip), port).String()
}

func ip(a [4]byte) string { return netip.AddrFrom4(a).String() }
