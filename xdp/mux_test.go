package xdp

import (
	"testing"

	"onebeat/xdp/frame"
)

// muxed splits the server's socket: the number's lowest byte says whose a
// datagram is.
func muxed(t *testing.T, p *pair, keys ...uint32) *Mux {
	t.Helper()
	m, err := NewMux(p.server, ByteKey(frame.HeaderBytes), keys...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// sendTo queues datagram i for a user and sends it.
func (p *pair) sendTo(key uint32, i int) {
	p.t.Helper()
	for !p.send(uint64(i)<<8 | uint64(key)) {
		p.kick(p.client)
	}
	p.kick(p.client)
}

// take receives what there is for a share and gives it back.
func (p *pair) take(s *Share) (numbers []uint64) {
	n := s.Recv(64)
	for i := range n {
		numbers = append(numbers, p.number(s.Frame(i)))
	}
	s.Done()
	return numbers
}

func TestMuxSortsInOrderPastRingWrap(t *testing.T) {
	p := newPair(t, Options{RxFrames: 64, TxFrames: 64})
	m := muxed(t, p, 7, 9, 3)
	next := [3]int{}
	for round := range 200 {
		for i := range 10 {
			for _, key := range []uint32{7, 9, 3, 200} {
				p.sendTo(key, round*10+i)
			}
		}
		for i, s := range m.Shares() {
			for _, number := range p.take(s) {
				if number != uint64(next[i])<<8|uint64(s.key) {
					t.Fatalf("share %d: got %#x after %d datagrams", i, number, next[i])
				}
				next[i]++
			}
		}
		if m.Waiting() {
			t.Fatal("frames wait that everybody has looked for")
		}
	}
	if next != [3]int{2000, 2000, 2000} || m.unknown != 2000 {
		t.Errorf("received %v, unknown %d", next, m.unknown)
	}
	if st := m.Shares()[1].Stats(); st.Received != 2000 || st.Unknown != 2000 || st.RxDropped != 0 || st.FillEmpty != 0 {
		t.Errorf("%+v", st)
	}
}

// A user that takes nothing keeps its share of the frames and no more: the
// others' come through.
func TestMuxOneUserHoldsUpNoOther(t *testing.T) {
	p := newPair(t, Options{RxFrames: 64, TxFrames: 64})
	m := muxed(t, p, 0, 1)
	asleep, awake := m.Shares()[0], m.Shares()[1]
	for i := range 1000 {
		p.sendTo(0, i)
		p.sendTo(1, i)
		if got := p.take(awake); len(got) != 1 || got[0] != uint64(i)<<8|1 {
			t.Fatalf("datagram %d: got %x", i, got)
		}
	}
	if !m.Waiting() {
		t.Error("nobody knows of the frames that wait")
	}
	got := p.take(asleep)
	if len(got) != 32 || got[0] != 0 || got[31] != 31<<8 || asleep.Stats().RxDropped != 1000-32 {
		t.Errorf("kept %x, dropped %d", got, asleep.Stats().RxDropped)
	}
	p.sendTo(0, 5000)
	if got := p.take(asleep); len(got) != 1 || got[0] != 5000<<8 || m.Waiting() {
		t.Errorf("afterwards %x", got)
	}
}

// Every share has buffers of its own, also while another holds one it never
// submits, and a full one does not keep the others from sending.
func TestMuxSendsFromOwnBuffers(t *testing.T) {
	p := newPair(t, Options{RxFrames: 256, TxFrames: 64})
	m := muxed(t, p, 0, 1, 2)
	from := frame.Endpoint{MAC: p.server.Interface().MAC, IP: labIPs[1].As16(), Port: serverPort}
	to := p.from
	var headers frame.Template
	put := func(s *Share, number byte) bool {
		b := s.Reserve()
		if b == nil {
			return false
		}
		headers.Put(b, &from, from.Port, &to, 8)
		clear(b[frame.HeaderBytes : frame.HeaderBytes+8])
		b[frame.HeaderBytes] = number
		s.Submit(frame.HeaderBytes + 8)
		return true
	}
	a, b, c := m.Shares()[0], m.Shares()[1], m.Shares()[2]
	held := a.Reserve()
	if again := a.Reserve(); &held[0] != &again[0] {
		t.Fatal("a reserved buffer does not stay reserved")
	}
	for round := range 50 {
		if r := b.Reserve(); &r[0] == &held[0] {
			t.Fatal("two shares have one buffer")
		}
		for put(b, 1) {
		}
		if !put(c, 2) {
			t.Fatalf("round %d: a full share keeps another from sending", round)
		}
		if errno := c.Kick(); errno != 0 {
			t.Fatal(errno)
		}
		n, own := p.client.Recv(64), 0
		for i := range n {
			if p.number(p.client.Frame(i)) == 2 {
				own++
			}
		}
		p.client.Done()
		if n != 16+1 || own != 1 {
			t.Fatalf("round %d: %d frames came, %d of the share that kicked", round, n, own)
		}
	}
	if st := b.Stats(); st.Sent != 50*16 || st.TxFull != 50 || st.TxInvalid != 0 {
		t.Errorf("%+v", st)
	}
}

func TestMuxHotPathDoesNotAllocate(t *testing.T) {
	p := newPair(t, Options{})
	m := muxed(t, p, 0, 1)
	echoes := []Echo{{Port: m.Shares()[0]}, {Port: m.Shares()[1]}}
	i := 0
	if allocs := testing.AllocsPerRun(1000, func() {
		i++
		p.sendTo(uint32(i%3), i)
		echoes[0].DoWork(0)
		echoes[1].DoWork(0)
		p.client.Recv(64)
		p.client.Done()
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
	if echoes[0].Echoed == 0 || echoes[1].Echoed == 0 || m.unknown == 0 {
		t.Error("nothing was sorted")
	}
}

func TestMuxRefusals(t *testing.T) {
	p := newPair(t, Options{RxFrames: 2, TxFrames: 2})
	for _, keys := range [][]uint32{{}, {1, 1}, {1, 2, 3}} {
		if _, err := NewMux(p.server, DestinationKey, keys...); err == nil {
			t.Errorf("keys %v were taken", keys)
		}
	}
	for _, c := range []struct{ sharers, frames int }{{1, 512}, {2, 1024}, {3, 2048}, {16, 2048}} {
		if o := SharedOptions(Options{}, c.sharers); o.RxFrames != c.frames || o.TxFrames != c.frames {
			t.Errorf("%d sharers: %+v", c.sharers, o)
		}
	}
	for _, lengthBytes := range []int{41, 45, 3} {
		if k, ok := TaggedDestinationKey(make([]byte, lengthBytes)); ok {
			t.Errorf("a short frame has key %x", k)
		}
	}
	tagged := make([]byte, 46)
	copy(tagged[34:], []byte{10, 0, 0, 9})
	if k, ok := TaggedDestinationKey(tagged); !ok || k != AddressKey(frame.IPv4([4]byte{10, 0, 0, 9})) {
		t.Errorf("behind a tag: key %x", k)
	}
	if k, ok := DestinationKey(make([]byte, 41)); ok {
		t.Errorf("a short frame has key %x", k)
	}
	if _, ok := ByteKey(48)(make([]byte, 48)); ok {
		t.Error("a short frame has a key")
	}
}

// Lanes of both families may share a socket: each frame goes by its destination,
// of which both halves count.
func TestDestinationKeyOfBothFamilies(t *testing.T) {
	seen := map[uint32]frame.IP{}
	for _, ip := range []frame.IP{frame.IPv4([4]byte{10, 0, 0, 9}), frame.IPv4([4]byte{10, 0, 1, 9}),
		{0: 0xfd, 15: 9}, {0: 0xfd, 15: 10}, {0: 0xfd, 7: 1, 15: 9}, {0: 0xfd, 12: 10, 15: 9}} {
		b := make([]byte, frame.TagBytes+ip.HeaderBytes())
		var headers frame.Template
		headers.Put(b, &frame.Endpoint{IP: ip}, 1, &frame.Endpoint{IP: ip, Port: 2}, 0)
		key, ok := DestinationKey(b)
		if !ok || key != AddressKey(ip) {
			t.Errorf("%x: key %x, %v", ip, key, ok)
		}
		if other, taken := seen[key]; taken {
			t.Errorf("%x has the key of %x", ip, other)
		}
		seen[key] = ip
		frame.VLAN(7).Tag(b, ip.HeaderBytes())
		if tagged, ok := TaggedDestinationKey(b); !ok || tagged != key {
			t.Errorf("%x: tagged: key %x, %v", ip, tagged, ok)
		}
	}
	if _, ok := DestinationKey(append(make([]byte, 14), append([]byte{0x60}, make([]byte, 40)...)...)); ok {
		t.Error("an IPv6 frame without all of its headers has a key")
	}
}
