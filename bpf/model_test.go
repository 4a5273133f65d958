package bpf

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"onebeat/mirror/lane"
	"onebeat/mirror/recv"
	"onebeat/mirror/ring"
)

var (
	modelSeed  = flag.Uint64("model.seed", 0, "seed of the comparison with the model; 0: from the clock")
	modelSteps = flag.Int("model.steps", 2_000_000, "frames and ticks of the comparison with the model")
)

// pair is a node's kernel, the programs of both NICs and the timer, and its Go
// model over equal memory.
type pair struct {
	*host
	rnd   *rand.Rand
	table *lane.Table // the model's
	word  *uint64
	ring  []byte
	model *recv.Receiver
	tick  func(nowNs uint64)
	nowNs uint64
	gone  surroundings
	// loopback stands for either NIC; nothing is ever sent by it.
	loopback uint32
	sound    bool // the frame being drawn is as a peer sends it
	reply    []byte
	past     [2][][]byte // some frames of the past by NIC, to come again
	next     [lane.Paths]uint64
	seen     map[string]uint64
}

// surroundings says what is missing beside the maps.
type surroundings struct {
	queue                   [2]bool
	link, orderNIC, linkNIC bool
}

// nic is where a frame arrives.
type nic int

const (
	linkNIC nic = iota
	orderNIC
)

func newPair(t *testing.T, seed uint64, vlan uint16, ipv6 bool) *pair {
	h := newTaggedHost(t, vlan, servesTCP)
	if ipv6 {
		h = newHost6(t, vlan, servesTCP)
	}
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	p := &pair{host: h, loopback: uint32(lo.Index), rnd: rand.New(rand.NewPCG(seed, 1)), reply: make([]byte, 4096), nowNs: 1e9, tick: ticker(t, h)}
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
	m := recv.New(laneID, p.table, p.word, r, &h.nh)
	m.OrderVLAN = vlan
	m.TCPPorts = []uint16{fixPort, otherFIXPort}
	m.EngineGone = func() bool { return p.gone.queue[p.table.Config.OrderQueue] }
	m.OrderSocketGone = func() bool { return p.gone.queue[0] } // a test run's frames come in by queue 0
	m.LinkSocketGone = func() bool { return p.gone.link }
	m.OrderNICGone = func() bool { return p.gone.orderNIC }
	m.LinkNICGone = func() bool { return p.gone.linkNIC }
	p.model = m
	if err := h.k.SetOrderSocket(laneID, 1, h.order); err != nil {
		t.Fatal(err)
	}
	h.mark()
	p.seen = h.last
	return p
}

// loadTicker loads the program that runs a lane's timer at a time of the test's
// choice, over a kernel's maps.
func loadTicker(t *testing.T, k *Kernel) *ebpf.Program {
	t.Helper()
	spec, err := loadTick()
	if err != nil {
		t.Fatal(err)
	}
	if err := prepare(spec, &Options{RingBytes: ringBytes, LinkPort: linkPort}); err != nil {
		t.Fatal(err)
	}
	delete(spec.Programs, "ob_timer_control")
	replace := map[string]*ebpf.Map{}
	for name := range spec.Maps {
		if m := k.maps[name]; m != nil {
			replace[name] = m
		}
	}
	c, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: replace})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c.Programs["ob_tick"]
}

func (p *pair) chance(percent int) bool { return p.rnd.IntN(100) < percent }

// frameStep gives one frame to both and reports whether all that follows is equal.
func (p *pair) frameStep(at nic, f []byte) bool {
	program, decide := p.k.Link, p.model.Step
	if at == orderNIC {
		program, decide = p.k.Steer, p.model.Steer
	}
	o := ebpf.RunOptions{Data: f, DataOut: p.out}
	verdict, err := program.Run(&o)
	if err != nil {
		p.t.Fatal(err)
	}
	v, n, reason := decide(f, 1, p.reply)
	want, out := uint32(xdpDrop), []byte(nil)
	switch v {
	case recv.Pass:
		want, out = xdpPass, f
	case recv.Answer:
		want, out = xdpTx, p.reply[:n]
		if at == orderNIC { // by a redirect, see answer_arp
			want = xdpRedirect
		}
	case recv.ToEngine:
		want, out = xdpRedirect, f
	case recv.Release:
		want, out = xdpRedirect, f[n:]
	case recv.Forward:
		want, out = xdpRedirect, p.reply[:n]
	}
	if verdict != want || out != nil && !bytes.Equal(o.DataOut, out) {
		p.t.Errorf("program says %d, model %v (%v)\nframe   %x\nprogram %x\nmodel   %x", verdict, v, reason, f, o.DataOut, out)
		return false
	}
	return p.sameMemory(v, reason, f)
}

// tickStep lets the timer of both fire at the same time.
func (p *pair) tickStep() bool {
	tick := p.table.Config.TickNs
	switch {
	case p.chance(85):
		p.nowNs += tick + p.rnd.Uint64N(tick/2+1)
	case p.chance(50):
		p.nowNs += tick + tick/2 + p.rnd.Uint64N(3)
	default:
		p.nowNs += p.rnd.Uint64N(20 * tick)
	}
	if p.chance(60) {
		p.table.Engine.ProgressNs++
		p.host.table.Engine.ProgressNs++
	}
	p.tick(p.nowNs)
	candidate := p.model.Tick(int64(p.nowNs))
	return p.sameMemory("tick", candidate, nil)
}

func (p *pair) sameMemory(what, why any, f []byte) bool {
	// Each takes the time from its own clock.
	k, m := &p.host.table.Watch, &p.table.Watch
	if (k.FencedNs != 0) == (m.FencedNs != 0) && (k.CandidateNs != 0) == (m.CandidateNs != 0) {
		m.FencedNs, m.CandidateNs = k.FencedNs, k.CandidateNs
	}
	if *p.host.table != *p.table || *p.host.word != *p.word || !bytes.Equal(p.host.ring, p.ring) {
		p.t.Errorf("after %v (%v) of %x\nprogram %v %+v\nmodel   %v %+v", what, why, f, lane.Word(*p.host.word), *p.host.table, lane.Word(*p.word), *p.table)
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

// The kernel and its model agree on every frame of either NIC and on every
// tick: verdict, every byte of an answer, lane table, authority word, ring and
// counters.
func TestKernelAgreesWithModel(t *testing.T) {
	seed := *modelSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d; again with -model.seed=%d", seed, seed)
	compareWithModel(t, seed, 0, false, *modelSteps)
}

// And where the order network has a tag.
func TestKernelAgreesWithModelBehindATag(t *testing.T) {
	seed := *modelSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d; again with -model.seed=%d", seed, seed)
	compareWithModel(t, seed, orderVLAN, false, *modelSteps/4)
}

// And where the lane's address is an IPv6 one.
func TestKernelAgreesWithModelOverIPv6(t *testing.T) {
	seed := *modelSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d; again with -model.seed=%d", seed, seed)
	compareWithModel(t, seed, 0, true, *modelSteps/5)
	compareWithModel(t, seed, orderVLAN, true, *modelSteps/20)
}

func compareWithModel(t *testing.T, seed uint64, vlan uint16, ipv6 bool, steps int) {
	if testing.Short() {
		steps /= 20 // the race detector's half: the whole was compared without it
	}
	p := newPair(t, seed, vlan, ipv6)
	began := time.Now()
	for i := range steps {
		p.disturb()
		same := true
		switch n := p.rnd.IntN(100); {
		case n < 55:
			same = p.frameStep(linkNIC, p.drawLink())
		case n < 85:
			same = p.frameStep(orderNIC, p.drawOrder())
		default:
			same = p.tickStep()
		}
		if !same || i%10_000 == 0 && !p.sameCounts() {
			t.Fatalf("seed %d, step %d", seed, i)
		}
	}
	p.sameCounts()
	took := time.Since(began)
	t.Logf("%d steps in %v, %.0f a second", steps, took.Round(time.Millisecond), float64(steps)/took.Seconds())
	for r := recv.None + 1; r < recv.ReasonCount; r++ {
		switch r {
		case recv.StackNotActive:
			continue // of a program that sees no frame that arrives
		case recv.ARPAnswered, recv.ARPNotActive:
			if ipv6 {
				continue
			}
		case recv.NDAnswered, recv.NDNotActive, recv.NDInvalid, recv.OrderExtension:
			if !ipv6 {
				continue
			}
		}
		if n := p.model.Count(r); n < uint64(steps)/20_000 {
			t.Errorf("%v met only %d times", r, n)
		}
	}
}
