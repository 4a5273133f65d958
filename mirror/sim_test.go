package mirror

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"onebeat/engine/app"
	"onebeat/mirror/arbiter"
	"onebeat/mirror/lane"
	"onebeat/mirror/policy"
	"onebeat/mirror/recv"
	"onebeat/mirror/ring"
	"onebeat/mirror/wire"
	"onebeat/xdp"
	"onebeat/xdp/frame"
)

// A simulated lane: two hosts, each with a kernel (the receiver's rules, which
// live on when the process dies) and an engine process that may stop, die and
// start again, and a cable that loses, doubles, delays and is cut.

const (
	simStepNs    = 50_000
	simHeartbeat = 5_000_000
	simTick      = 1_000_000
	simRingBytes = 4 << 20
)

type simFrame struct {
	due int
	b   []byte
}

type simWorld struct {
	r        *rand.Rand
	config   simConfig
	hosts    [2]*simHost
	cable    [2][]simFrame // to host i
	step     int
	cut      bool
	noisy    bool
	fragile  bool              // one ring holds it all
	lostAt   int               // when it began to
	released map[uint64]uint64 // order -> position of its record
	nextID   uint64
	failure  string
	tap      func(to int, b []byte)
	story    []string
}

type simConfig struct {
	name              string
	silence, degrades bool
	ride              bool
}

type simHost struct {
	w         *simWorld
	i         int
	table     *lane.Table
	word      uint64
	mem       []byte
	kernel    *recv.Receiver
	queue     [][]byte // of the engine's link socket
	p         *simProcess
	stoppedTo int // the process is not scheduled until then
}

// simProcess is what dies with the process.
type simProcess struct {
	r       *Replica
	out     *app.Outbox
	port    simPort
	rec     app.Record
	serving bool
}

// simPort is the engine's link port.
type simPort struct {
	xdp.Port
	h      *simHost
	buffer [2048]byte
	full   [][]byte
}

func (p *simPort) Reserve() []byte { return p.buffer[:] }
func (p *simPort) Submit(n int)    { p.full = append(p.full, append([]byte(nil), p.buffer[:n]...)) }
func (p *simPort) Kick() int {
	for _, b := range p.full {
		p.h.w.send(1-p.h.i, b)
	}
	p.full = p.full[:0]
	return 0
}

func newSimWorld(seed uint64, c simConfig) *simWorld {
	w := &simWorld{r: rand.New(rand.NewPCG(seed, 7)), config: c, released: map[uint64]uint64{}}
	for i := range w.hosts {
		h := &simHost{w: w, i: i, table: &lane.Table{}, mem: make([]byte, simRingBytes+ring.SlackBytes)}
		w.hosts[i] = h
		h.boot()
		h.start()
	}
	return w
}

func (w *simWorld) nowNs() int64 { return 1_000_000_000 + int64(w.step)*simStepNs }

func (w *simWorld) tell(format string, args ...any) {
	w.story = append(w.story, fmt.Sprintf("%d: ", w.step)+fmt.Sprintf(format, args...))
}

func (w *simWorld) fail(format string, args ...any) {
	if w.failure == "" {
		w.failure = fmt.Sprintf(format, args...)
		w.tell("FAILED: %s", w.failure)
	}
}

// boot gives a host fresh memory: another ring.
func (h *simHost) boot() {
	*h.table = lane.Table{}
	h.word = 0
	clear(h.mem)
	h.queue = nil
	me, peer := byte(h.i+1), byte(2-h.i)
	c := &h.table.Config
	c.Used, c.Node, c.PeerNode, c.Incarnation = 1, uint32(me), uint32(peer), h.w.r.Uint64()|1
	c.Flags = lane.ConfigAuth
	if h.w.config.silence {
		c.Flags |= lane.ConfigSilencePromotes
	}
	c.LinkIP, c.PeerLinkIP, c.LinkPort = [4]byte{10, 0, 0, me}, [4]byte{10, 0, 0, peer}, [2]byte{0x1c, 0xe8}
	c.HeartbeatNs, c.TickNs, c.HangTicks, c.SilenceTicks = simHeartbeat, simTick, 10, 5
	r, err := ring.New(h.mem, simRingBytes, &h.table.Tail)
	if err != nil {
		panic(err)
	}
	h.kernel = recv.New(0, h.table, &h.word, r, new([wire.NHWords]uint32))
	h.kernel.EngineGone = func() bool { return h.p == nil }
}

// start starts the engine's process.
func (h *simHost) start() {
	r, err := ring.New(h.mem, simRingBytes, &h.table.Tail)
	if err != nil {
		panic(err)
	}
	c := &h.table.Config
	p := &simProcess{out: app.NewOutbox(app.Endpoint{}, h.table.NextOutput)}
	p.port.h = h
	cfg := Config{Node: uint8(c.Node), Peer: uint8(c.PeerNode), First: h.i == 0, Policy: policy.Mirrored{}, Ride: h.w.config.ride,
		HeartbeatNs: simHeartbeat, WaitNs: policy.Forever, Authenticate: true, PolicyFlags: wire.PolicyMirrored,
		Local: frame.Endpoint{IP: c.LinkIP, Port: 7400}, Remote: frame.Endpoint{IP: c.PeerLinkIP, Port: 7400}, LinkFrameMax: 1800}
	if h.w.config.degrades {
		cfg.WaitNs, cfg.OnTimeout = 10_000_000, policy.Degrade
	}
	arb, err := arbiter.NewPair(arbiter.PairConfig{SilencePromotes: h.w.config.silence, Degrades: h.w.config.degrades}, lane.Record{})
	if err != nil {
		panic(err)
	}
	p.r, err = New(cfg, Memory{Table: h.table, Authority: &h.word, Ring: r, SetNHKey: func(key *[wire.NHWords]uint32) error {
		h.kernel.Rekey(key)
		return nil
	}}, &p.port, arb)
	if err != nil {
		panic(err)
	}
	h.p, h.queue, h.stoppedTo = p, nil, 0
	p.r.Start(h.w.nowNs())
}

func (w *simWorld) send(to int, b []byte) {
	if w.tap != nil {
		w.tap(to, b)
	}
	if w.cut || w.noisy && w.r.IntN(100) < 5 {
		return
	}
	f := simFrame{due: w.step, b: b}
	if w.noisy {
		if w.r.IntN(100) < 10 {
			f.due += w.r.IntN(20)
		}
		if w.r.IntN(100) < 3 {
			w.cable[to] = append(w.cable[to], simFrame{f.due + w.r.IntN(50), append([]byte(nil), b...)})
		}
	}
	w.cable[to] = append(w.cable[to], f)
}

// deliver gives what is due to the kernels, until nothing is.
func (w *simWorld) deliver() {
	for busy := true; busy; {
		busy = false
		for i, h := range w.hosts {
			frames := w.cable[i]
			w.cable[i] = nil
			for _, f := range frames {
				if f.due > w.step {
					w.cable[i] = append(w.cable[i], f)
					continue
				}
				busy = true
				h.receive(f.b)
			}
		}
	}
}

func (h *simHost) receive(b []byte) {
	var reply [2048]byte
	verdict, n, _ := h.kernel.Step(b, h.w.nowNs(), reply[:])
	switch verdict {
	case recv.Answer:
		h.w.send(1-h.i, append([]byte(nil), reply[:n]...))
	case recv.Release:
		h.letOut(b[n:], "ride")
	case recv.ToEngine:
		if h.p != nil && len(h.queue) < 256 {
			h.queue = append(h.queue, b)
		}
	}
}

// letOut is the order NIC: whoever else serves must hold what leaves here.
func (h *simHost) letOut(b []byte, how string) {
	id, position := binary.LittleEndian.Uint64(b[frame.HeaderBytes:]), binary.LittleEndian.Uint64(b[frame.HeaderBytes+8:])
	other := h.w.hosts[1-h.i]
	// The newest writer is the one that counts; the other may not know yet.
	if newer := lane.Load(&other.word); newer.State() == lane.Active && newer.Epoch() > lane.Load(&h.word).Epoch() && !other.holds(id, position) {
		h.w.fail("host %d released order %d by %s, which the serving host lacks", h.i, id, how)
	}
	if at, ok := h.w.released[id]; ok && at != position {
		h.w.fail("order %d was released from two places in the log", id)
	}
	h.w.released[id] = position
}

func (h *simHost) holds(id, position uint64) bool {
	r, err := ring.New(h.mem, simRingBytes, &h.table.Tail)
	if err != nil {
		panic(err)
	}
	rec, _, state := r.Read(position)
	return state == ring.Found && rec.Type == app.RecordMessage && binary.LittleEndian.Uint64(rec.Payload) == id
}

// cycle is the engine loop's.
func (h *simHost) cycle() {
	p, now := h.p, h.w.nowNs()
	if p == nil || h.w.step < h.stoppedTo {
		return
	}
	r := p.r
	if !r.Claiming() {
		for _, b := range h.queue {
			r.OnLinkFrame(b, now, p.out)
		}
		h.queue = h.queue[:0]
	}
	if r.Observe(now) == lane.Active {
		h.serve(now)
	} else {
		p.serving = false
		p.out.Muted = true
		r.TakeRebuild()
		n := 0
		for n < 256 && r.NextRecord(&p.rec) {
			n++
		}
		r.PublishApplied(n)
	}
	r.Progress(now)
	if _, ok := r.Cuts.Wanted(); ok {
		r.Cuts.Answer(nil)
	}
	for {
		e, ok := r.Events.Next()
		if !ok {
			break
		}
		if e.Kind == EventLogBroken || e.Kind == EventDiverged {
			h.w.fail("host %d: %v %v", h.i, e.Kind, e)
		}
		h.w.tell("host %d: %v %v", h.i, e.Kind, e)
	}
}

func (h *simHost) serve(now int64) {
	p, r, w := h.p, h.p.r, h.w
	if !p.serving {
		p.serving, p.out.Muted = true, false
		p.out.Reset(r.NextOutput())
		for id, position := range w.released {
			if !h.holds(id, position) {
				w.fail("host %d serves without order %d, which was answered", h.i, id)
			}
		}
	}
	for r.Behind() && r.NextRecord(&p.rec) {
	}
	for range w.r.IntN(4) {
		if r.IntakeStopped() || r.Room() < 64<<10 || p.out.Room() < 16 {
			break
		}
		w.nextID++
		var payload [40]byte
		binary.LittleEndian.PutUint64(payload[:], w.nextID)
		end, ok := r.Append(app.RecordMessage, now, payload[:], &p.rec)
		if !ok {
			break
		}
		p.out.RecordEnd = end
		b := p.out.Open(app.Endpoint{}, 1, 0)
		binary.LittleEndian.PutUint64(b, w.nextID)
		binary.LittleEndian.PutUint64(b[8:], p.rec.Position)
		p.out.Close(48, 0)
	}
	p.out.Seal()
	r.Send(p.out, now)
	w.deliver() // the kick runs the other host's kernel
	p.out.Release(r.NextOutput())
	if p.out.Head() == p.out.Tail() && r.Draining() {
		r.Drained(now)
	}
	for p.out.Head() < p.out.Tail() {
		slot := p.out.At(p.out.Head())
		if slot.RecordEnd > r.Releasable() || r.RideUnderWay(slot, now) || !r.GateOpen() {
			break
		}
		n := p.out.Head()
		if r.TakeOutput(n) {
			h.letOut(slot.Frame[:slot.LengthBytes], "user space")
			r.Released(slot.RecordEnd)
		}
		p.out.Release(n + 1)
	}
}

// run steps the world once; faults say what may happen.
func (w *simWorld) run(faults bool) {
	w.step++
	w.fragile = w.fragile && !w.settled()
	if faults {
		w.fault()
	}
	w.deliver()
	for _, i := range w.r.Perm(2) {
		w.hosts[i].cycle()
		w.deliver()
	}
	if w.step%(simTick/simStepNs) == 0 {
		for _, h := range w.hosts {
			h.kernel.Tick(w.nowNs())
		}
	}
	if a, b := lane.Load(&w.hosts[0].word), lane.Load(&w.hosts[1].word); a.State() == lane.Active && b.State() == lane.Active && a.Epoch() == b.Epoch() {
		w.fail("two writers in one epoch: %v %v", a, b)
	}
}

func (w *simWorld) fault() {
	h := w.hosts[w.r.IntN(2)]
	switch n := w.r.IntN(20_000); {
	case n < 20 && h.p != nil && !w.fragile:
		w.tell("host %d's process dies", h.i)
		h.p, h.queue = nil, nil
	case n < 60 && h.p == nil:
		w.tell("host %d's process starts", h.i)
		h.start()
	case n < 90 && h.p != nil && h.stoppedTo < w.step && !w.fragile:
		h.stoppedTo = w.step + w.r.IntN(1000)
		w.tell("host %d's process stops until %d", h.i, h.stoppedTo)
	case n < 105:
		w.cut = !w.cut
		w.tell("cable cut: %t", w.cut)
	case n < 125:
		w.noisy = !w.noisy
		w.tell("noise: %t", w.noisy)
	case n < 140 && h.p != nil && h.p.r.Word().State() == lane.Active && w.step > w.lostAt+200:
		w.tell("host %d is to hand over", h.i)
		h.p.r.Commands.Put(CommandHandover)
	case n < 160 && w.mayForget(h):
		w.tell("host %d loses its memory", h.i)
		w.fragile, w.lostAt = true, w.step // a second loss is an operator's
		h.p = nil
		h.boot()
		h.start()
	}
}

// mayForget: what one host alone holds may not be lost with it, nor may a
// successor be lost that was just named: who is to go on then is an operator's
// decision.
func (w *simWorld) mayForget(h *simHost) bool {
	other := w.hosts[1-h.i]
	if w.config.degrades || w.fragile || h.p == nil || other.p == nil || other.stoppedTo+200 > w.step || other.p.r.Draining() {
		return false
	}
	a, b := lane.Load(&h.word), lane.Load(&other.word)
	return a.Epoch() == b.Epoch() && (a.State() == lane.Standby && b.State() == lane.Active || a.State() == lane.Active && b.State() == lane.Standby)
}

// settled reports whether one host serves and the other is in sync with it.
func (w *simWorld) settled() bool {
	a, b := lane.Load(&w.hosts[0].word), lane.Load(&w.hosts[1].word)
	if a.State() == lane.Standby {
		a, b = b, a
	}
	return a.State() == lane.Active && b.State() == lane.Standby && a.Epoch() == b.Epoch()
}

func (w *simWorld) describe() string {
	text := fmt.Sprintf("cut %t noisy %t", w.cut, w.noisy)
	for _, h := range w.hosts {
		text += fmt.Sprintf("\nhost %d: %v tail %d", h.i, lane.Load(&h.word), h.table.Tail)
		if h.p != nil {
			text += fmt.Sprintf(" record %v applied %d in sync %t broken %t", h.p.r.Record(), h.p.r.Applied(), h.p.r.InSync(), h.p.r.broken)
		}
	}
	for _, line := range w.story[max(0, len(w.story)-60):] {
		text += "\n  " + line
	}
	return text
}

// Whatever happens, what was let out is in the log of whoever serves; and when
// nothing happens any more, one serves, the other stands by, and orders flow.
func TestSimulatedLane(t *testing.T) {
	for _, c := range []simConfig{{name: "never", ride: true}, {name: "links", silence: true, ride: true}, {name: "degrade", degrades: true, ride: true}, {name: "user"}} {
		t.Run(c.name, func(t *testing.T) {
			for seed := range uint64(simSeeds) {
				t.Run(fmt.Sprint(seed), func(t *testing.T) { simulate(t, seed, c) })
			}
		})
	}
}

const simSeeds = 25

func simulate(t *testing.T, seed uint64, c simConfig) {
	t.Helper()
	w := newSimWorld(seed, c)
	defer func() {
		if r := recover(); r != nil {
			t.Fatalf("seed %d: panic: %v\n%s", seed, r, w.describe())
		}
	}()
	for range 10_000 {
		if w.run(true); w.failure != "" {
			t.Fatalf("seed %d: %s\n%s", seed, w.failure, w.describe())
		}
	}
	w.cut, w.noisy = false, false
	for _, h := range w.hosts {
		h.stoppedTo = 0
		if h.p == nil {
			h.start()
		}
	}
	w.tell("peace")
	for i := 0; i < 4000 && !w.settled(); i++ {
		w.run(false)
	}
	before := len(w.released)
	for range 200 {
		w.run(false)
	}
	if w.failure != "" || !w.settled() || len(w.released) < before+50 {
		t.Fatalf("seed %d: %s settled %t, %d released after peace\n%s", seed, w.failure, w.settled(), len(w.released)-before, w.describe())
	}
}
