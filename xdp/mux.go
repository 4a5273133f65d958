package xdp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"onebeat/xdp/frame"
	"onebeat/xdp/publish"
)

// Key tells whose a received frame is; false: nobody's.
type Key func(frame []byte) (key uint32, ok bool)

// DestinationKey is the AddressKey of the address a frame is for.
func DestinationKey(b []byte) (uint32, bool) {
	if len(b) < headerBytes {
		return 0, false
	}
	if b[atIPVersion]>>4 != 6 {
		return binary.BigEndian.Uint32(b[atIPDst:]), true
	}
	if len(b) < ipv6HeaderBytes {
		return 0, false
	}
	return ipv6Key(b[atIPv6Dst:]), true
}

// TaggedDestinationKey is DestinationKey where every frame has an 802.1Q tag.
func TaggedDestinationKey(frame []byte) (uint32, bool) {
	const tagBytes = 4
	if len(frame) < tagBytes {
		return 0, false
	}
	return DestinationKey(frame[tagBytes:])
}

// AddressKey is the key of frames to an address. Two IPv6 addresses may have the
// same one, which NewMux refuses.
func AddressKey(ip frame.IP) uint32 {
	if ip.Is4() {
		four := ip.As4()
		return binary.BigEndian.Uint32(four[:])
	}
	return ipv6Key(ip[:])
}

// ipv6Key mixes the words of an address: neither its network nor its host alone.
func ipv6Key(b []byte) uint32 {
	const odd = 0x9e3779b1
	be := binary.BigEndian
	return ((be.Uint32(b)*odd+be.Uint32(b[4:]))*odd+be.Uint32(b[8:]))*odd + be.Uint32(b[12:])
}

// ByteKey is one byte of a frame, counted from the destination MAC on.
func ByteKey(at int) Key {
	return func(frame []byte) (uint32, bool) {
		if len(frame) <= at {
			return 0, false
		}
		return uint32(frame[at]), true
	}
}

// muxFrames bounds the chunks of a shared socket for each direction, for the
// sake of the time that tearing them down takes.
const muxFrames = 2048

// SharedOptions returns o with room for a number of sharers, each as much as a
// socket of its own has while that is not too much.
func SharedOptions(o Options, sharers int) Options {
	frames := DefaultFrames
	for sharers > 1 && frames < muxFrames {
		frames, sharers = frames*2, (sharers+1)/2
	}
	o.RxFrames, o.TxFrames = frames, frames
	return o
}

// Mux splits one socket among several users on one thread. Frames are sorted
// as they come off the ring and stay where they are: what is handed on is a
// descriptor. Receive and send chunks are divided evenly, so that a flood for
// one user, or a user that takes nothing, holds up no other.
type Mux struct {
	socket *Socket
	key    Key
	shares []*Share

	unknown    uint64 // received frames that are for nobody here
	waiting    uint32 // frames sorted and not yet taken, of all shares
	shareShift uint   // send chunks of a share, as a power of two
}

// NewMux divides an open socket, which has not been used yet, among users with
// these keys. The socket is the mux's: Close closes it.
func NewMux(s *Socket, key Key, keys ...uint32) (*Mux, error) {
	if len(keys) == 0 {
		return nil, errors.New("mux: nobody to share the socket")
	}
	rxFrames, txFrames := len(s.rx.desc), len(s.tx.desc)
	parts := 1 << bits.Len(uint(len(keys)-1))
	if parts > rxFrames || parts > txFrames {
		return nil, fmt.Errorf("mux: %d users of a socket with %d and %d frames", len(keys), rxFrames, txFrames)
	}
	m := &Mux{socket: s, key: key, shareShift: uint(bits.TrailingZeros(uint(txFrames / parts)))}
	for i, k := range keys {
		for _, other := range keys[:i] {
			if k == other {
				return nil, fmt.Errorf("mux: two users of key %#x", k)
			}
		}
		m.shares = append(m.shares, &Share{mux: m, key: k,
			queue: make([]unix.XDPDesc, rxFrames/parts), mask: uint32(rxFrames/parts - 1),
			free: make([]uint64, txFrames/parts)})
	}
	// The socket's free list becomes the shares'.
	for s.completion.freeCount > 0 {
		addr, _ := s.completion.pop()
		if p := m.ownerOf(addr); p != nil {
			p.give(addr)
		}
	}
	return m, nil
}

// Shares returns the users' ports in the order of their keys.
func (m *Mux) Shares() []*Share { return m.shares }

// Waiting reports whether frames were taken off the socket that no user has
// received yet: poll(2) on the socket does not see them.
func (m *Mux) Waiting() bool { return m.waiting != 0 }

// Close closes the socket.
func (m *Mux) Close() error { return m.socket.Close() }

// ownerOf returns whose send chunk addr is; nil for one of the remainder.
func (m *Mux) ownerOf(addr uint64) *Share {
	u := &m.socket.umem
	if i := (addr - u.rxBytes) / u.chunkBytes >> m.shareShift; i < uint64(len(m.shares)) {
		return m.shares[i]
	}
	return nil
}

// pull sorts what has arrived. It takes everything: what it left in the ring
// would keep other users' frames behind it.
func (m *Mux) pull() {
	s := m.socket
	r := &s.rx
	// Acquire: pairs with the kernel's release in xskq_prod_submit.
	end := atomic.LoadUint32(r.producer)
	if end == r.next {
		if s.fill.wantsWakeup() {
			s.wakeRx()
		}
		return
	}
	filled := s.fill.next
	for ; r.next != end; r.next++ {
		d := r.desc[r.next&r.mask]
		if !m.hand(d) && s.umem.ownsRx(d.Addr) {
			s.fill.put(d.Addr &^ (s.umem.chunkBytes - 1))
		}
	}
	// Release: the descriptors were read above, the kernel may now reuse them.
	publish.Uint32(r.consumer, r.next)
	if s.fill.next != filled {
		s.fill.publish()
	}
}

// hand queues a frame for whom it is for; false when the chunk is free again.
func (m *Mux) hand(d unix.XDPDesc) bool {
	frame := m.socket.umem.frame(d.Addr, d.Len)
	if frame == nil {
		m.socket.rx.invalid++
		return false
	}
	if key, ok := m.key(frame); ok {
		for _, p := range m.shares {
			if p.key != key {
				continue
			}
			if p.count == uint32(len(p.queue)) {
				p.stats.RxDropped++
				return false
			}
			p.queue[(p.head+p.count)&p.mask] = d
			p.count++
			m.waiting++
			return true
		}
	}
	m.unknown++
	return false
}

// reap moves every sent chunk to its owner's free list.
func (m *Mux) reap() {
	c, u := &m.socket.completion, &m.socket.umem
	// Acquire: as in completionRing.reap.
	end := atomic.LoadUint32(c.producer)
	if end == c.next {
		return
	}
	for ; c.next != end; c.next++ {
		addr := c.addr[c.next&c.mask]
		if !u.ownsTx(addr) {
			c.invalid++
			continue
		}
		if p := m.ownerOf(addr); p == nil || !p.give(addr) {
			c.invalid++
		}
	}
	// Release: the kernel may overwrite the entries from now on.
	publish.Uint32(c.consumer, c.next)
}
