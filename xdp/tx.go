package xdp

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// txRing queues frames to send. We produce, the kernel consumes. It has as
// many entries as there are sending chunks, so a free chunk is a free entry.
type txRing struct {
	producer *uint32 // written by us, read by the kernel
	consumer *uint32 // written by the kernel
	flags    *uint32 // written by the kernel
	desc     []unix.XDPDesc
	mask     uint32
	next     uint32 // our producer index, published or not
	queued   uint64 // frames submitted since the socket was opened

	reserved    uint64 // chunk returned by Reserve
	hasReserved bool
}

// Reserve implements Port. Called again before Submit it returns the same
// buffer.
func (s *Socket) Reserve() []byte {
	t := &s.tx
	if !t.hasReserved {
		s.completion.reap(&s.umem)
		t.reserved, t.hasReserved = s.completion.pop()
		if !t.hasReserved {
			s.stats.TxFull++
			return nil
		}
	}
	return s.umem.chunk(t.reserved)
}

// Submit implements Port.
func (s *Socket) Submit(lengthBytes int) {
	t := &s.tx
	if !t.hasReserved || uint64(lengthBytes) > s.umem.chunkBytes {
		panic("xdp: Submit without Reserve or longer than the buffer")
	}
	t.hasReserved = false
	t.queue(t.reserved, lengthBytes)
}

// queue puts a chunk behind those that wait to be sent.
func (t *txRing) queue(addr uint64, lengthBytes int) {
	d := &t.desc[t.next&t.mask]
	d.Addr, d.Len, d.Options = addr, uint32(lengthBytes), 0
	t.next++
	t.queued++
}

// Kick implements Port.
func (s *Socket) Kick() int {
	t := &s.tx
	sent := atomic.LoadUint32(t.consumer)
	if sent == t.next {
		return 0
	}
	// Release: pairs with the kernel's acquire in xskq_cons_peek_desc. It is a
	// full barrier on amd64, so the flag below is read after it as
	// need_wakeup demands (Documentation/networking/af_xdp.rst).
	atomic.StoreUint32(t.producer, t.next)
	// A driver that polls by itself clears the flag. Copy mode always sets it:
	// there sendto does the sending.
	if atomic.LoadUint32(t.flags)&unix.XDP_RING_NEED_WAKEUP == 0 {
		return 0
	}
	for {
		s.stats.Kicks++
		_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(s.fd), 0, 0, unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return 0
		case unix.EINTR:
			continue
		case unix.EAGAIN, unix.EBUSY, unix.ENOBUFS:
			// EAGAIN with progress is copy mode's batch bound (max_tx_budget,
			// net/xdp/xsk.c); EBUSY is one frame dropped by the driver;
			// ENOBUFS, and EAGAIN with no progress, a full queue.
			s.stats.Retries++
		default:
			return int(errno)
		}
		now := atomic.LoadUint32(t.consumer)
		if now == t.next || now == sent {
			return 0 // all sent, or no progress: the next Kick tries again
		}
		sent = now
	}
}
