package sim

import (
	"encoding/binary"
	"errors"

	"onebeat/engine/app"
	"onebeat/mirror"
	"onebeat/mirror/arbiter"
	"onebeat/mirror/fence"
	"onebeat/mirror/internal/mutant"
	"onebeat/mirror/lane"
	"onebeat/mirror/policy"
	"onebeat/mirror/wire"
	"onebeat/xdp"
	"onebeat/xdp/frame"
)

// process is what dies with the process.
type process struct {
	gen      uint64
	r        *mirror.Replica
	client   client
	shooter  shooter
	port     port
	second   port // to the order network
	out      *app.Outbox
	rec      app.Record
	serving  bool
	diverged bool      // quarantined
	laneNs   int64     // what the lane's time is ahead of the host's clock
	archiver *archiver // nil: none
	cutNs    int64     // when the cold side will have kept a cut; 0: nothing to keep
	stateNs  int64     // when it will have a state; 0: none is wanted
	fetching
}

// port is where the process sends.
type port struct {
	xdp.Port
	h      *host
	net    *network
	buffer [2048]byte
	full   [][]byte
}

// Reserve implements xdp.Port.
func (p *port) Reserve() []byte { return p.buffer[:] }

// Submit implements xdp.Port.
func (p *port) Submit(n int) { p.full = append(p.full, p.h.w.buffer(p.buffer[:n])) }

// Kick implements xdp.Port.
func (p *port) Kick() int {
	for _, b := range p.full {
		p.net.send(p.h.w, 1-p.h.i, b)
		p.h.w.drop(b)
	}
	p.full = p.full[:0]
	return 0
}

// start starts the host's process.
func (h *host) start() {
	w := h.w
	if c := &h.table.Config; c.Flags&lane.ConfigQuarantined != 0 {
		// It comes back as another ring, as tools/node opens it.
		c.Incarnation, c.PeerIncarnation = w.dice.Uint64()|1, 0
		c.Flags &^= lane.ConfigQuarantined
	}
	h.out.Reset(h.table.NextOutput)
	h.out.Muted = true
	h.gens++
	p := &process{gen: h.gens, out: h.out, port: port{h: h, net: &w.net}, second: port{h: h, net: &w.second}}
	p.client, p.shooter = client{h: h, gen: p.gen}, shooter{h: h, gen: p.gen, delayNs: int64(h.i) * w.cfg.Mode.DelayNs}
	c, m := &h.table.Config, &w.cfg.Mode
	cfg := mirror.Config{Node: uint8(c.Node), Peer: uint8(c.PeerNode), First: h.i == 0,
		Terms: policy.Terms{Policy: policy.NameMirrored, WaitNs: policy.Forever}, Ride: m.Ride, HeartbeatNs: heartbeatNs, Registered: m.Witness,
		NowNs: h.clockNs, Authenticate: true,
		Local: frame.Endpoint{IP: frame.IPv4(c.LinkIP), Port: linkPort}, Remote: frame.Endpoint{IP: frame.IPv4(c.PeerLinkIP), Port: linkPort}, LinkFrameMax: linkFrameMax}
	if m.Chain {
		cfg.ChainPort = outputPort
	}
	if m.None {
		cfg.Terms.Policy = policy.NameNone
	}
	if m.Policy != "" {
		cfg.Terms.Policy = m.Policy
	}
	if m.Degrades {
		cfg.Terms.WaitNs, cfg.Terms.OnTimeout = waitNs, policy.Degrade
	}
	if w.cfg.Streams {
		cfg.Stream, cfg.SalvageNs = true, salvageNs
	}
	arb, err := h.arbiter(p)
	log := h.ring()
	if err == nil {
		p.r, err = mirror.New(cfg, mirror.Memory{Table: h.table, Authority: &h.word, Ring: log, SetNHKey: func(key *[wire.NHWords]uint32) error {
			h.kernel.Rekey(key)
			return nil
		}}, &p.port, arb)
	}
	if err != nil {
		panic(err)
	}
	if m.Policy != "" || m.Changes {
		p.archiver = &archiver{h: h, ring: log, known: unknownCuts}
		p.r.UseArchive(p.archiver)
	}
	if w.cfg.TwoPaths {
		p.r.UseSecond(&p.second, frame.Endpoint{MAC: orderMAC(h.i), IP: frame.IPv4(c.OrderIP), Port: linkPort}, frame.Endpoint{IP: frame.IPv4(c.PeerOrderIP), Port: linkPort}, 0)
	}
	h.dropQueue()
	h.p, h.pausedNs = p, 0
	h.table.Watch.DeadNs = 0
	p.r.Start(h.clockNs())
	h.archive()
	h.events()
	w.plan(event{atNs: w.nowNs, kind: evCycle, host: h.i, gen: p.gen})
}

// arbiter is who decides, by the run's mode.
func (h *host) arbiter(p *process) (arbiter.Arbiter, error) {
	m := &h.w.cfg.Mode
	if m.Witness {
		return &p.client, nil
	}
	pair, err := arbiter.NewPair(arbiter.PairConfig{SilencePromotes: m.Silence && !m.Fence, Degrades: m.Degrades}, lane.Record{})
	if err != nil || !m.Fence {
		return pair, err
	}
	peer := &h.table.Peer
	return fence.NewArbiter(pair, &p.shooter, func() fence.Signs { return fence.Signs{Frames: peer.Frames, Acked: peer.Tail} }, heartbeatNs), nil
}

// die ends the process; its kernel notes the end of the engine's thread.
func (h *host) die() {
	h.p = nil
	h.table.Watch.DeadNs = uint64(h.clockNs())
	h.dropQueue()
}

// cycle is one of the engine loop's.
func (h *host) cycle(gen uint64) {
	w, p := h.w, h.p
	if p == nil || p.gen != gen {
		return
	}
	if until := max(h.pausedNs, h.frozenNs); w.nowNs < until {
		w.plan(event{atNs: until + w.between(0, 50*us), kind: evCycle, host: h.i, gen: gen})
		return
	}
	r := p.r
	if !r.Claiming() {
		// What these frames make the process do may bring others: those are for
		// the next cycle.
		for _, b := range h.queue {
			r.OnLinkFrame(b, h.clockNs(), p.out)
			h.archive()
			w.drop(b)
		}
		h.queue = h.queue[:0]
	}
	state := r.Observe(h.clockNs())
	h.archive()
	if state == lane.Active {
		h.serve()
	} else {
		p.serving = false
		p.out.Muted = true
		r.TakeRebuild()
		n := 0
		for n < 256 && r.NextRecord(&p.rec) {
			n++
		}
		r.PublishApplied(n)
		h.applied = max(h.applied, r.Applied())
		r.TellHeld(h.clockNs())
	}
	if h.p != p {
		return
	}
	r.Progress(h.clockNs())
	r.ShowLife(h.clockNs())
	h.keepCut()
	if p.archiver != nil {
		p.archiver.step()
	}
	h.fetch()
	h.events()
	if r.Quit() {
		h.die()
		return
	}
	idle := w.between(20*us, 160*us)
	w.settled = w.isSettled()
	w.fragile = w.fragile && !w.settled
	w.plan(event{atNs: w.nowNs + idle, kind: evCycle, host: h.i, gen: gen})
}

var errDiskFull = errors.New("no space left on device")

// keepCut is the cold side: it takes its time, and its disk may be full.
func (h *host) keepCut() {
	w, p := h.w, h.p
	if _, wanted := p.r.Cuts.Wanted(); !wanted {
		return
	}
	switch {
	case p.cutNs == 0:
		p.cutNs = w.nowNs + w.between(100*us, 3*ms)
	case w.nowNs >= p.cutNs:
		p.cutNs = 0
		if w.nowNs < h.diskFullNs {
			p.r.Cuts.Answer(errDiskFull)
		} else {
			p.r.Cuts.Answer(nil)
		}
	}
}

// events reads what the loop tells.
func (h *host) events() {
	for {
		e, ok := h.p.r.Events.Next()
		if !ok {
			return
		}
		switch e.Kind {
		case mirror.EventLogBroken, mirror.EventDiverged:
			if h.p.diverged && e.Kind == mirror.EventDiverged {
				break
			}
			h.w.fail("host %d: %v at %d", h.i, e.Kind, e.A)
		case mirror.EventServing:
			h.w.judge.serves(h, uint32(e.A))
		case mirror.EventAlone, mirror.EventInSync:
			h.w.judge.sets[uint32(e.A)] = h.p.r.Record()
			if e.Kind == mirror.EventAlone {
				h.w.judge.alone(h, uint32(e.A))
			}
		}
		if h.w.telling {
			h.w.tell("host %d: %v %v", h.i, e.Kind, e)
		}
	}
}

// orders is how many come in a cycle: few enough for a run, in bursts.
func (w *World) orders() int {
	if w.cfg.LazyReader {
		return w.dice.IntN(8)
	}
	if w.chance(4) {
		return w.dice.IntN(4)
	}
	return 0
}

const (
	orderBytes = 80 // at most
	outputPort = 1
	frameBytes = 48
)

// serve is the order path of a cycle, as engine.Loop walks it.
func (h *host) serve() {
	p, r, w := h.p, h.p.r, h.w
	began := !p.serving
	if began {
		p.serving, p.out.Muted = true, false
		p.out.Reset(r.NextOutput())
		w.judge.begins(h)
	}
	for r.Behind() && r.NextRecord(&p.rec) {
	}
	if began {
		p.laneNs = r.LastTimeNs() - h.clockNs()
		if mutant.On(mutant.TimeFalls) {
			p.laneNs = 0
		}
	}
	for range w.orders() {
		if r.IntakeStopped() || r.Room() < 4<<10 || p.out.Room() < 16 || w.logFull(h) {
			break
		}
		w.nextID++
		var payload [orderBytes]byte
		binary.LittleEndian.PutUint64(payload[:], w.nextID)
		end, ok := r.Append(app.RecordMessage, h.clockNs()+p.laneNs, payload[:8+w.dice.IntN(orderBytes-8)], &p.rec)
		if !ok {
			break
		}
		p.out.RecordEnd = end
		b := p.out.Open(app.Endpoint{}, outputPort, 0)
		binary.LittleEndian.PutUint64(b, w.nextID)
		binary.LittleEndian.PutUint64(b[8:], p.rec.Position)
		binary.LittleEndian.PutUint64(b[16:], end)
		p.out.Close(frameBytes, 0)
	}
	p.out.Seal()
	h.archive()
	r.Send(p.out, h.clockNs())
	switch {
	case w.chance(4):
		w.meanwhile(w.between(0, 60*us), h)
	case w.chance(400) && !w.peace && !w.cfg.LazyReader:
		w.tell("host %d's process stops on its way", h.i)
		w.meanwhile(w.between(1*ms, 25*ms), h)
	}
	h.release()
}

// release is engine.Loop's: in order, what the policy allows.
func (h *host) release() {
	p, r, w := h.p, h.p.r, h.w
	now := h.clockNs()
	w.judge.leave(p.out, r.NextOutput())
	p.out.Release(r.NextOutput())
	if p.out.Head() == p.out.Tail() && r.Draining() {
		r.Drained(now)
	}
	for p.out.Head() < p.out.Tail() {
		slot := p.out.At(p.out.Head())
		if slot.RecordEnd > r.Releasable() && !mutant.On(mutant.Unacked) || r.RideUnderWay(slot, now) || !r.GateOpen() && !mutant.On(mutant.GateOpen) {
			break
		}
		n := p.out.Head()
		if r.TakeOutput(n) {
			w.judge.letOut(h, slot.Frame[:slot.LengthBytes], r.Word(), "user space")
			r.Released(slot.RecordEnd)
		}
		p.out.Release(n + 1)
	}
}

// streamedBytes is how long the log of a run gets that turns its rings over.
const streamedBytes = 8 * smallRingBytes

// logFull ends the orders of a run before the ring turns over, where that is not
// what it is about.
func (w *World) logFull(h *host) bool {
	if w.cfg.Streams {
		return h.table.Tail > streamedBytes
	}
	return !w.cfg.LazyReader && h.table.Tail > uint64(w.cfg.RingBytes)*5/8
}
