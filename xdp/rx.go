package xdp

import (
	"sync/atomic"

	"golang.org/x/sys/unix"

	"onebeat/xdp/publish"
)

// rxRing delivers received frames. The kernel produces, we consume.
type rxRing struct {
	producer *uint32 // written by the kernel
	consumer *uint32 // written by us, read by the kernel
	desc     []unix.XDPDesc
	mask     uint32
	next     uint32 // our consumer index
	seen     uint32 // producer index when last looked at
	taken    uint32 // frames of the last Recv, not yet given back
	received uint64
	invalid  uint64 // descriptors outside of the receive half
}

// Recv implements Port.
func (s *Socket) Recv(max int) int {
	r := &s.rx
	if r.taken != 0 {
		s.Done()
	}
	if r.seen == r.next {
		// Acquire: pairs with the kernel's release in xskq_prod_submit; the
		// line is only fetched when what we knew of is used up.
		r.seen = atomic.LoadUint32(r.producer)
		if r.seen == r.next {
			if s.fill.wantsWakeup() {
				s.wakeRx()
			}
			return 0
		}
	}
	n := r.seen - r.next
	if n > uint32(max) {
		n = uint32(max)
	}
	r.taken = n
	r.received += uint64(n)
	return int(n)
}

// Frame implements Port. A descriptor that points outside of the receive half
// gives an empty frame and is counted as RxInvalid.
func (s *Socket) Frame(i int) []byte {
	r := &s.rx
	if uint32(i) >= r.taken {
		panic("xdp: Frame outside of the last Recv")
	}
	d := &r.desc[(r.next+uint32(i))&r.mask]
	frame := s.umem.frame(d.Addr, d.Len)
	if frame == nil {
		r.invalid++
	}
	return frame
}

// Done implements Port.
func (s *Socket) Done() {
	r := &s.rx
	if r.taken == 0 {
		return
	}
	for end := r.next + r.taken; r.next != end; r.next++ {
		addr := r.desc[r.next&r.mask].Addr
		if !s.umem.ownsRx(addr) {
			continue // not a chunk of ours: it must not enter the fill ring
		}
		// The kernel delivers behind its headroom; the chunk starts earlier.
		s.fill.put(addr &^ (s.umem.chunkBytes - 1))
	}
	r.taken = 0
	// Release: the descriptors were read above, the kernel may now reuse them.
	publish.Uint32(r.consumer, r.next)
	s.fill.publish()
}

// wakeRx calls a zero-copy driver that ran out of chunks. There is nothing to
// do about an error here: the next Kick reports a lost device.
func (s *Socket) wakeRx() {
	s.stats.Kicks++
	unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(s.fd), 0, 0, unix.MSG_DONTWAIT, 0, 0)
}
