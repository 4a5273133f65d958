package xdp

import "golang.org/x/sys/unix"

// Share is one user's view of a Mux. It is a Port; all shares of a mux belong to
// one goroutine.
type Share struct {
	mux *Mux
	key uint32

	queue []unix.XDPDesc // received frames, a power of two
	mask  uint32
	head  uint32 // oldest frame
	count uint32 // frames in the queue, those taken included
	taken uint32 // frames of the last Recv, not yet given back

	free        []uint64 // send chunks; free[:freeCount] are not under way
	freeCount   int
	reserved    uint64
	hasReserved bool

	submitted uint64
	stats     PortStats
}

var _ Port = (*Share)(nil)

// give takes a chunk into the free list.
func (p *Share) give(addr uint64) bool {
	if p.freeCount == len(p.free) {
		return false
	}
	p.free[p.freeCount] = addr
	p.freeCount++
	return true
}

// Recv implements Port.
func (p *Share) Recv(max int) int {
	if p.taken != 0 {
		p.Done()
	}
	p.mux.pull()
	n := p.count
	if n > uint32(max) {
		n = uint32(max)
	}
	p.taken = n
	p.mux.waiting -= n
	p.stats.Received += uint64(n)
	return int(n)
}

// Frame implements Port.
func (p *Share) Frame(i int) []byte {
	if uint32(i) >= p.taken {
		panic("xdp: Frame outside of the last Recv")
	}
	d := &p.queue[(p.head+uint32(i))&p.mask]
	return p.mux.socket.umem.frame(d.Addr, d.Len)
}

// Done implements Port.
func (p *Share) Done() {
	if p.taken == 0 {
		return
	}
	s := p.mux.socket
	for end := p.head + p.taken; p.head != end; p.head++ {
		// The kernel delivers behind its headroom; the chunk starts earlier.
		s.fill.put(p.queue[p.head&p.mask].Addr &^ (s.umem.chunkBytes - 1))
	}
	p.count -= p.taken
	p.taken = 0
	s.fill.publish()
}

// Reserve implements Port.
func (p *Share) Reserve() []byte {
	if !p.hasReserved {
		p.mux.reap()
		if p.freeCount == 0 {
			p.stats.TxFull++
			return nil
		}
		p.freeCount--
		p.reserved, p.hasReserved = p.free[p.freeCount], true
	}
	return p.mux.socket.umem.chunk(p.reserved)
}

// Submit implements Port.
func (p *Share) Submit(lengthBytes int) {
	s := p.mux.socket
	if !p.hasReserved || uint64(lengthBytes) > s.umem.chunkBytes {
		panic("xdp: Submit without Reserve or longer than the buffer")
	}
	p.hasReserved = false
	s.tx.queue(p.reserved, lengthBytes)
	p.submitted++
}

// Kick implements Port: what other shares submitted leaves as well.
func (p *Share) Kick() int { return p.mux.socket.Kick() }

// Wait implements Port.
func (p *Share) Wait(timeoutNs int64) {
	if p.count == p.taken {
		p.mux.socket.Wait(timeoutNs)
	}
}

// FD implements Port: it is the socket's, and readable for any of its shares.
func (p *Share) FD() int { return p.mux.socket.FD() }

// Stats implements Port: frames are the share's own, what the kernel and kicks
// count is the socket's.
func (p *Share) Stats() PortStats {
	p.mux.reap()
	st := p.mux.socket.Stats()
	st.Received, st.RxDropped, st.TxFull = p.stats.Received, p.stats.RxDropped+st.RxDropped, p.stats.TxFull
	st.Unknown = p.mux.unknown
	underWay := len(p.free) - p.freeCount
	if p.hasReserved {
		underWay--
	}
	st.Sent = p.submitted - uint64(underWay)
	return st
}

// Close implements Port: the socket is closed with the mux.
func (p *Share) Close() error { return nil }
