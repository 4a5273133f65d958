package xdp

import (
	"sync/atomic"

	"onebeat/xdp/publish"
)

// completionRing takes sent chunks back from the kernel and keeps the free
// ones. The free list is a stack: the chunk sent last is still in the cache.
type completionRing struct {
	producer *uint32 // written by the kernel
	consumer *uint32 // written by us, read by the kernel
	addr     []uint64
	mask     uint32
	next     uint32 // our consumer index

	free      []uint64 // chunk addresses; free[:freeCount] are ours
	freeCount int
	invalid   uint64 // addresses the kernel handed back that are not ours
}

// reap moves every completed chunk to the free list.
func (c *completionRing) reap(u *umem) {
	// Acquire: pairs with xskq_prod_submit's release, so that the addresses
	// are read after the index that covers them.
	end := atomic.LoadUint32(c.producer)
	if end == c.next {
		return
	}
	for ; c.next != end; c.next++ {
		addr := c.addr[c.next&c.mask]
		if !u.ownsTx(addr) || c.freeCount == len(c.free) {
			c.invalid++
			continue
		}
		c.free[c.freeCount] = addr
		c.freeCount++
	}
	// Release: the kernel may overwrite the entries from now on.
	publish.Uint32(c.consumer, c.next)
}

// pop takes a free chunk.
func (c *completionRing) pop() (addr uint64, ok bool) {
	if c.freeCount == 0 {
		return 0, false
	}
	c.freeCount--
	return c.free[c.freeCount], true
}
