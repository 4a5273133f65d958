package bpf

import (
	"onebeat/mirror/lane"
	"onebeat/mirror/wire"
	"onebeat/xdp/frame"
)

// disturb changes what user space, an earlier process or an operator may
// change, on both sides.
func (p *pair) disturb() {
	if p.chance(8) {
		w := lane.MakeWord(epoch+p.rnd.Uint32N(3)-1, lane.State(p.rnd.IntN(lane.StateCount)))
		if p.chance(60) {
			w = lane.MakeWord(epoch, []lane.State{lane.Standby, lane.Active}[p.rnd.IntN(2)])
		}
		*p.word, *p.host.word = uint64(w), uint64(w)
	}
	p.disturbTable()
	if p.chance(2) {
		p.disturbSurroundings()
	}
	if p.chance(1) {
		p.table.Config.Flags ^= lane.ConfigAuth
		p.peer.Enabled = !p.peer.Enabled
		p.model.Rekey(&p.nh)
	}
	// The model's table drew, the program's copies.
	k, m := p.host.table, p.table
	k.Config, k.Tail, k.NextOutput, k.Engine, k.Watch, k.Busy = m.Config, m.Tail, m.NextOutput, m.Engine, m.Watch, m.Busy
	k.RxCounter, k.Second.Busy = m.RxCounter, m.Second.Busy
}

func (p *pair) disturbTable() {
	t := p.table
	if p.chance(5) {
		t.Tail = 32 * p.rnd.Uint64N(4*ringBytes/32)
	}
	if p.chance(30) {
		t.Engine.Applied = t.Tail - 32*min(p.rnd.Uint64N(ringBytes/32+1), t.Tail/32)
	}
	if p.chance(2) {
		t.NextOutput = p.rnd.Uint64N(4)
	}
	if p.chance(5) {
		t.Watch.StuckTicks, t.Watch.SilentTicks = p.rnd.Uint32N(12), p.rnd.Uint32N(7)
		t.Watch.LastProgressNs = t.Engine.ProgressNs - uint64(p.rnd.Uint32N(2))
	}
	if t.Watch.DeadNs = 0; p.chance(2) {
		t.Watch.DeadNs = 1
	}
	t.Engine.Released = t.Engine.Applied
	if t.Busy = 0; p.chance(1) {
		t.Busy = 1
	}
	if t.Second.Busy = 0; p.chance(1) {
		t.Second.Busy = 1
	}
	if p.chance(2) { // new session keys; also after a spoilt counter was believed
		t.RxCounter = [lane.Paths]uint64{}
	}
	c := &t.Config
	if c.PeerNode = peerNode; p.chance(1) {
		c.PeerNode = 0
	}
	if c.LinkFrameMax = linkMax; p.chance(5) {
		c.LinkFrameMax = uint16(200 + p.rnd.IntN(1800))
	}
	if p.chance(1) {
		c.OrderQueue = uint16(p.rnd.IntN(2))
	}
	if p.chance(1) {
		c.Flags ^= lane.ConfigSilencePromotes
	}
	if p.chance(2) {
		c.Flags ^= lane.ConfigChain
	}
}

// disturbSurroundings makes sockets and NICs come and go.
func (p *pair) disturbSurroundings() {
	p.t.Helper()
	g := &p.gone
	flip := func(flag *bool, percent int, set, clear func() error) {
		want := p.chance(percent)
		if want == *flag {
			return
		}
		*flag = want
		do := set
		if want {
			do = clear
		}
		if err := do(); err != nil {
			p.t.Fatal(err)
		}
	}
	m := p.k.maps
	for queue := range g.queue {
		slot := uint32(laneID*Queues + queue)
		flip(&g.queue[queue], 40, func() error { return p.k.SetOrderSocket(laneID, queue, p.order) }, func() error { return m["xsks_order"].Delete(slot) })
	}
	flip(&g.link, 10, func() error { return p.k.SetLinkSocket(laneID, 0, p.link) },
		func() error { return m["xsks_link"].Delete(uint32(laneID * Queues)) })
	for i, flag := range []*bool{&g.orderNIC, &g.linkNIC} {
		key := uint32(laneID*2 + i)
		flip(flag, 10, func() error { return m["devs"].Put(key, p.loopback) }, func() error { return m["devs"].Delete(key) })
	}
}

// pick returns one of vs, mostly the first, which is the sound one.
func pick[T any](p *pair, vs ...T) T {
	if p.sound || p.chance(70) {
		return vs[0]
	}
	return vs[p.rnd.IntN(len(vs))]
}

// pickType returns mostly the type that does something in the present state.
func (p *pair) pickType(usual wire.Type) wire.Type {
	if p.chance(70) {
		return usual
	}
	return []wire.Type{wire.Probe, wire.Mirror, wire.Ack, wire.Fenced, wire.Forward, wire.Life, wire.Stale, wire.HelloFrame, 0, 9}[p.rnd.IntN(10)]
}

// drawLink makes the next frame of the link NIC: sealed, and now and then
// spoilt or an old one.
func (p *pair) drawLink() []byte {
	if f := p.old(linkNIC); f != nil {
		return f
	}
	p.sound = p.chance(60)
	typ := wire.Mirror
	if lane.Load(p.word).State() == lane.Active {
		typ = wire.Ack
	}
	records := 32 * pick(p, p.rnd.IntN(5), p.rnd.IntN(49), 48)
	ride := pick(p, p.rnd.IntN(2)*(14+p.rnd.IntN(120)), p.rnd.IntN(20), p.rnd.IntN(1600))
	hd := p.header(p.pickType(typ), pick(p, p.rnd.IntN(3), lane.PathEngineOrder+p.rnd.IntN(3)), records, ride)
	return p.keep(linkNIC, p.seal(&hd, bytesOf(records, byte(p.rnd.Uint32())), bytesOf(ride, byte(p.rnd.Uint32()))))
}

// drawOrder makes the next frame of the order NIC.
func (p *pair) drawOrder() []byte {
	if f := p.old(orderNIC); f != nil {
		return f
	}
	p.sound = p.chance(60)
	if p.ipv6 && p.chance(65) {
		return p.keep(orderNIC, p.drawOrder6())
	}
	switch n := p.rnd.IntN(100); {
	case n < 40:
		return p.keep(orderNIC, orderFrame(pick(p, p.rnd.IntN(300), p.rnd.IntN(2000))))
	case n < 55:
		f := make([]byte, frame.ARPBytes+pick(p, 0, p.rnd.IntN(20)))
		frame.PutARPRequest(f, clientMAC, clientIP, pick(p, laneIP, ownOrderIP, [4]byte{}))
		return p.keep(orderNIC, f)
	case n < 65:
		return p.keep(orderNIC, segment(pick[uint16](p, fixPort, otherFIXPort, 0, 5000), nil))
	}
	types := []wire.Type{wire.Probe, wire.Mirror, wire.Life, wire.Fenced}
	records, ride := 0, 0
	if !p.sound && p.chance(10) {
		records, ride = 32*p.rnd.IntN(3), p.rnd.IntN(30)
	}
	hd := p.header(p.pickType(types[p.rnd.IntN(4)]), pick(p, lane.PathEngineOrder+p.rnd.IntN(2), p.rnd.IntN(7)), records, ride)
	return p.keep(orderNIC, p.sealSecond(&hd, bytesOf(records, 1), bytesOf(ride, 2)))
}

// drawOrder6 makes an order, or a question for the lane's MAC.
func (p *pair) drawOrder6() []byte {
	switch n := p.rnd.IntN(100); {
	case n < 50:
		f := orderFrame6(pick(p, p.rnd.IntN(300), p.rnd.IntN(2000)))
		f[20] = pick[uint8](p, 17, 44, 0, 60, 6, 58)
		return f
	case n < 60:
		return segment6(pick[uint16](p, fixPort, otherFIXPort, 0, 5000), nil)
	case n < 80:
		f := ask6(pick(p, laneIP6, clientIP6, frame.IP{}))
		for range pick(p, p.rnd.IntN(3), p.rnd.IntN(20)) {
			f = append(f, 14, pick[byte](p, 1, 0, 2), 1, 2, 3, 4, 5, byte(p.rnd.Uint32()))
		}
		return more(f)
	}
	f := claim6(laneIP6)
	if p.chance(50) {
		f = more(f, pick[byte](p, 14, 1), 1, 0, 0, 0, 0, 0, 0)
	}
	return f
}

// header is the peer's, in mostly the state that the type is sent in.
func (p *pair) header(typ wire.Type, path, records, ride int) wire.Header {
	w, tail := lane.Load(p.word), p.table.Tail
	words := []lane.Word{w.With(lane.Standby), w.With(lane.Fenced), w.With(lane.Active), lane.MakeWord(w.Epoch()+1, lane.Standby)}
	if typ == wire.Fenced || typ == wire.Forward {
		words[0], words[1] = words[1], words[0]
	}
	if path < lane.Paths {
		p.next[path] += pick[uint64](p, 1, 0, 7)
	}
	hd := wire.Header{
		Type: typ, Lane: pick[uint8](p, laneID, laneID+1, 16), Node: pick[uint8](p, peerNode, ourNode),
		Epoch: pick(p, w.Epoch(), w.Epoch()-1, w.Epoch()+1), LengthBytes: uint16(records), RideBytes: uint16(ride),
		Path: uint8(path), Flags: uint8(p.rnd.IntN(16)), Successor: pick[uint32](p, ourNode, peerNode),
		Position: pick(p, tail, tail-32, tail+32, tail-uint64(records), 1<<64-32), Authority: words[0],
		Applied: 32 * p.rnd.Uint64N(9), Incarnation: peerInc, Output: p.table.NextOutput, Echo: p.rnd.Uint64N(pick(p, p.table.NextOutput+1, 1000)),
		Counter: p.next[path%lane.Paths],
	}
	if typ == wire.Ack {
		hd.Successor = uint32(hd.Output) + pick(p, p.rnd.Uint32N(2), p.rnd.Uint32(), lane.OutputsMax, lane.OutputsMax+1)
		hd.Output = uint64(hd.Successor)
		hd.Echo = p.rnd.Uint64N(1000)
	}
	if !p.sound && p.chance(30) {
		hd.Authority = words[p.rnd.IntN(4)]
	}
	if !p.sound && p.chance(10) {
		hd.Output += p.rnd.Uint64N(3) - 1
	}
	if p.chance(3) {
		hd.Incarnation++
	}
	hd.Tail = hd.Position + uint64(pick(p, records, 0, records+64))
	return hd
}

// old returns a frame of the past now and then: a repeat, or a recording.
func (p *pair) old(at nic) []byte {
	if len(p.past[at]) == 0 || !p.chance(5) {
		return nil
	}
	if p.chance(10) { // a recording of the other NIC
		at = 1 - at
	}
	if n := len(p.past[at]); n > 0 {
		return p.past[at][p.rnd.IntN(n)]
	}
	return nil
}

// keep remembers a frame, and spoils it if it is to be.
func (p *pair) keep(at nic, f []byte) []byte {
	if vlan := p.model.OrderVLAN; vlan != 0 && at == orderNIC && (p.sound || p.chance(90)) {
		f = tagged(f, pick(p, vlan, vlan+1)|uint16(p.rnd.IntN(16))<<12)
	}
	if !p.sound && p.chance(30) {
		f = p.mutate(f)
	}
	if len(p.past[at]) < 64 {
		p.past[at] = append(p.past[at], f)
	} else {
		p.past[at][p.rnd.IntN(64)] = f
	}
	return f
}

func (p *pair) mutate(f []byte) []byte {
	switch p.rnd.IntN(4) {
	case 0:
		return f[:14+p.rnd.IntN(len(f)-14)]
	case 1:
		return append(f, make([]byte, 1+p.rnd.IntN(60))...)
	case 2: // anywhere, headers below the link's too
		f[p.rnd.IntN(len(f))] ^= 1 << p.rnd.IntN(8)
	case 3:
		f[p.rnd.IntN(min(len(f), 150))] = byte(p.rnd.Uint32())
	}
	return f
}
