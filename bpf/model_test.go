package bpf

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"onebeat/mirror/lane"
	"onebeat/mirror/recv"
	"onebeat/mirror/ring"
	"onebeat/mirror/wire"
)

var (
	modelSeed  = flag.Uint64("model.seed", 0, "seed of the comparison with the model; 0: from the clock")
	modelSteps = flag.Int("model.steps", 300_000, "frames of the comparison with the model")
)

// pair is the link program and its Go model over equal memory.
type pair struct {
	*host
	rnd   *rand.Rand
	table *lane.Table // the model's
	word  *uint64
	ring  []byte
	model *recv.Receiver
	gone  bool
	sound bool // the frame being drawn is as a peer sends it
	reply []byte
	sent  [][]byte // some frames of the past, to be replayed
	next  [lane.Paths]uint64
	seen  map[string]uint64
}

func newPair(t *testing.T, seed uint64) *pair {
	h := newHost(t)
	p := &pair{host: h, rnd: rand.New(rand.NewPCG(seed, 1)), reply: make([]byte, 4096)}
	mem, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE) // aligned as a table must be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Munmap(mem); err != nil {
			t.Error(err)
		}
	})
	p.table, p.word = lane.At(mem), lane.WordAt(mem[LaneBytes:])
	p.ring = make([]byte, ringBytes+RingSlackBytes)
	*p.table, *p.word = *h.table, *h.word
	r, err := ring.New(p.ring, ringBytes, &p.table.Tail)
	if err != nil {
		t.Fatal(err)
	}
	p.model = recv.New(laneID, p.table, p.word, r, &h.nh)
	p.model.EngineGone = func() bool { return p.gone }
	h.mark()
	p.seen = h.last
	return p
}

func (p *pair) chance(percent int) bool { return p.rnd.IntN(100) < percent }

// disturb changes what user space, timer and steering may change, on both sides.
func (p *pair) disturb() {
	if p.chance(8) {
		w := lane.MakeWord(epoch+p.rnd.Uint32N(3)-1, lane.State(p.rnd.IntN(lane.StateCount)))
		if p.chance(60) {
			w = lane.MakeWord(epoch, []lane.State{lane.Standby, lane.Active}[p.rnd.IntN(2)])
		}
		*p.word, *p.host.word = uint64(w), uint64(w)
	}
	for _, t := range []*lane.Table{p.table, p.host.table} {
		// Both tables draw the same numbers: the first draws, the second copies.
		if t != p.table {
			t.Tail, t.NextOutput, t.Engine, t.Watch, t.Busy = p.table.Tail, p.table.NextOutput, p.table.Engine, p.table.Watch, p.table.Busy
			continue
		}
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
		t.Engine.Released = t.Engine.Applied
		t.Busy = 0
		if p.chance(1) {
			t.Busy = 1
		}
	}
	if p.chance(2) { // new session keys; also after a spoilt counter was believed
		p.table.RxCounter, p.host.table.RxCounter = [lane.Paths]uint64{}, [lane.Paths]uint64{}
	}
	if p.chance(1) {
		p.toggleSlot()
	}
	if p.chance(1) {
		p.host.table.Config.Flags ^= lane.ConfigAuth
		p.table.Config.Flags = p.host.table.Config.Flags
		p.peer.Enabled = !p.peer.Enabled
		p.model.Rekey(&p.nh)
	}
}

// toggleSlot makes the engine's socket come and go.
func (p *pair) toggleSlot() {
	p.t.Helper()
	p.gone = !p.gone
	var err error
	if p.gone {
		err = p.k.maps["xsks_order"].Delete(uint32(laneID * Queues))
	} else {
		err = p.k.SetOrderSocket(laneID, 0, p.order)
	}
	if err != nil {
		p.t.Fatal(err)
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

// draw makes the next frame: sealed, and now and then spoilt or an old one.
func (p *pair) draw() []byte {
	if len(p.sent) > 0 && p.chance(5) {
		return p.sent[p.rnd.IntN(len(p.sent))]
	}
	p.sound = p.chance(60)
	w := lane.Load(p.word)
	records := 32 * pick(p, p.rnd.IntN(5), p.rnd.IntN(49), 48)
	ride := pick(p, p.rnd.IntN(2)*(14+p.rnd.IntN(120)), p.rnd.IntN(20), p.rnd.IntN(1600))
	path := uint8(pick(p, p.rnd.IntN(3), 3))
	if path < lane.Paths {
		p.next[path] += pick[uint64](p, 1, 0, 7)
	}
	typ := p.pickType(wire.Mirror)
	if w.State() == lane.Active {
		typ = p.pickType(wire.Ack)
	}
	tail := p.table.Tail
	words := []lane.Word{w.With(lane.Standby), w.With(lane.Fenced), w.With(lane.Active), lane.MakeWord(w.Epoch()+1, lane.Standby)}
	if typ == wire.Fenced || typ == wire.Forward {
		words[0], words[1] = words[1], words[0]
	}
	hd := wire.Header{
		Type: typ, Lane: pick[uint8](p, laneID, laneID+1, 16), Node: pick[uint8](p, peerNode, ourNode),
		Epoch: pick(p, w.Epoch(), w.Epoch()-1, w.Epoch()+1), LengthBytes: uint16(records), RideBytes: uint16(ride),
		Path: path, Flags: uint8(p.rnd.IntN(8)), Successor: pick[uint32](p, ourNode, peerNode),
		Position: pick(p, tail, tail-32, tail+32, tail-uint64(records), 1<<64-32), Authority: words[0],
		Applied: 32 * p.rnd.Uint64N(9), Incarnation: peerInc, Output: p.table.NextOutput, Echo: p.rnd.Uint64N(1000),
		Counter: p.next[path%lane.Paths],
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
	f := p.seal(&hd, bytesOf(records, byte(p.rnd.Uint32())), bytesOf(ride, byte(p.rnd.Uint32())))
	if !p.sound && p.chance(30) {
		f = p.mutate(f)
	}
	if len(p.sent) < 64 {
		p.sent = append(p.sent, f)
	} else {
		p.sent[p.rnd.IntN(64)] = f
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

// step gives one frame to both and reports whether all that follows is equal.
func (p *pair) step(f []byte) bool {
	o := ebpf.RunOptions{Data: f, DataOut: p.out}
	verdict, err := p.k.Link.Run(&o)
	if err != nil {
		p.t.Fatal(err)
	}
	v, n, reason := p.model.Step(f, 1, p.reply)
	want, out := uint32(xdpDrop), []byte(nil)
	switch v {
	case recv.Pass:
		want, out = xdpPass, f
	case recv.Answer:
		want, out = xdpTx, p.reply[:n]
	case recv.ToEngine:
		want, out = xdpRedirect, f
	case recv.Release:
		want, out = xdpRedirect, f[n:]
	}
	if verdict != want || out != nil && !bytes.Equal(o.DataOut, out) {
		p.t.Errorf("program says %d, model %v (%v)\nframe   %x\nprogram %x\nmodel   %x", verdict, v, reason, f, o.DataOut, out)
		return false
	}
	// Each takes the time from its own clock.
	k, m := &p.host.table.Watch, &p.table.Watch
	if (k.FencedNs != 0) == (m.FencedNs != 0) && (k.CandidateNs != 0) == (m.CandidateNs != 0) {
		m.FencedNs, m.CandidateNs = k.FencedNs, k.CandidateNs
	}
	if *p.host.table != *p.table || *p.host.word != *p.word || !bytes.Equal(p.host.ring, p.ring) {
		p.t.Errorf("after %v (%v) of %x\nprogram %v %+v\nmodel   %v %+v", v, reason, f, lane.Word(*p.host.word), *p.host.table, lane.Word(*p.word), *p.table)
		return false
	}
	return true
}

// sameCounts compares every reason.
func (p *pair) sameCounts() bool {
	p.mark()
	for r := recv.None + 1; r < recv.ReasonCount; r++ {
		if got, want := p.last[r.String()]-p.seen[r.String()], p.model.Count(r); got != want {
			p.t.Errorf("%v: program counted %d, model %d", r, got, want)
		}
	}
	return !p.t.Failed()
}

// The link program and its model agree on every frame: verdict, every byte of
// the answer, lane table, authority word, ring and counters.
func TestProgramAgreesWithModel(t *testing.T) {
	seed := *modelSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d; again with -model.seed=%d", seed, seed)
	p := newPair(t, seed)
	for i := range *modelSteps {
		p.disturb()
		if !p.step(p.draw()) || i%10_000 == 0 && !p.sameCounts() {
			t.Fatalf("step %d", i)
		}
	}
	p.sameCounts()
	if p.gone {
		p.toggleSlot()
	}
	for _, r := range []recv.Reason{recv.MirrorAppended, recv.RideReleased, recv.FencedByProbe, recv.Candidate} {
		if p.model.Count(r) < uint64(*modelSteps)/3000 {
			t.Errorf("%v met only %d times", r, p.model.Count(r))
		}
	}
}
