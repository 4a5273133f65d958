package etcd

import "sync/atomic"

// mailboxSlots is a power of two; a lane has one question at a time.
const mailboxSlots = 8

// mailbox is a single-producer, single-consumer ring. It never blocks and never
// allocates.
type mailbox[T any] struct {
	slots [mailboxSlots]T
	_     [64]byte
	head  atomic.Uint64 // consumer
	_     [56]byte
	tail  atomic.Uint64 // producer
}

// put leaves v; false if the box is full.
func (m *mailbox[T]) put(v *T) bool {
	tail := m.tail.Load()
	if tail-m.head.Load() == mailboxSlots {
		return false
	}
	m.slots[tail%mailboxSlots] = *v
	m.tail.Store(tail + 1)
	return true
}

// take fetches the oldest into v; false if there is none.
func (m *mailbox[T]) take(v *T) bool {
	head := m.head.Load()
	if head == m.tail.Load() {
		return false
	}
	*v = m.slots[head%mailboxSlots]
	m.head.Store(head + 1)
	return true
}
