package xdp

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// fillRing hands empty chunks to the kernel. We produce, the kernel consumes.
// It has as many entries as there are receive chunks, so it cannot overflow
// and the consumer index need not be read.
type fillRing struct {
	producer *uint32 // written by us, read by the kernel
	flags    *uint32 // written by the kernel
	addr     []uint64
	mask     uint32
	next     uint32 // our producer index, published or not
}

// put writes one chunk address; publish makes it visible.
func (f *fillRing) put(addr uint64) {
	f.addr[f.next&f.mask] = addr
	f.next++
}

// publish is the release that pairs with the kernel's acquire of producer
// (xskq_cons_get_entries, net/xdp/xsk_queue.h).
func (f *fillRing) publish() { atomic.StoreUint32(f.producer, f.next) }

// wantsWakeup says that the driver stopped for want of chunks and must be
// called. Copy mode never sets it, zero-copy drivers do.
func (f *fillRing) wantsWakeup() bool {
	return atomic.LoadUint32(f.flags)&unix.XDP_RING_NEED_WAKEUP != 0
}
