package sim

import (
	"onebeat/engine/app"
	"onebeat/mirror/lane"
	"onebeat/mirror/recv"
	"onebeat/mirror/ring"
	"onebeat/mirror/wire"
	"onebeat/xdp/frame"
)

// host is one machine: what is in its memory and its kernel lives on when the
// process dies.
type host struct {
	w      *World
	i      int
	table  *lane.Table
	word   uint64
	mem    []byte
	view   *ring.Ring // for the archive
	past   past
	kernel *recv.Receiver
	queue  [][]byte // of the process's link socket
	p      *process // nil: dead
	gens   uint64
	out    *app.Outbox // lent to each process: it is large

	ppm         int64 // clock drift
	offsetNs    int64
	pausedNs    int64 // the process is not scheduled until then
	frozenNs    int64 // the whole host is not, until then
	thawedNs    int64 // when it last froze or thawed
	diskFullNs  int64
	bootedNs    int64
	tookNs      int64  // when it last took the lane from the other
	disk        []byte // the archive
	applied     uint64 // by any of its processes, of this ring
	tickPending bool
	off         bool       // no power
	busy        bool       // in the middle of a cycle while time passes
	reply       [2048]byte // what the kernel answers
}

func newHost(w *World, i int) *host {
	h := &host{w: w, i: i, table: &lane.Table{}, mem: w.memory.rings[i][:w.cfg.RingBytes+ring.SlackBytes], out: w.memory.outs[i],
		ppm: w.between(-200, 200), offsetNs: w.between(1_000*ms, 9_000*ms)}
	return h
}

// clockNs is the host's CLOCK_MONOTONIC.
func (h *host) clockNs() int64 {
	return h.offsetNs + h.w.nowNs + h.w.nowNs/1_000_000*h.ppm
}

// boot gives the host fresh memory: another ring.
func (h *host) boot() {
	*h.table = lane.Table{}
	h.word = 0
	clear(h.mem)
	h.view, h.past = h.ring(), past{log: h.past.log[:0]}
	h.dropQueue()
	h.bootedNs, h.applied = h.w.nowNs, 0
	me, peer := byte(h.i+1), byte(2-h.i)
	c := &h.table.Config
	c.Used, c.Node, c.PeerNode, c.Incarnation = 1, uint32(me), uint32(peer), h.w.dice.Uint64()|1
	c.Flags = lane.ConfigAuth
	if h.w.cfg.Mode.Silence {
		c.Flags |= lane.ConfigSilencePromotes
	}
	if h.w.cfg.Mode.Chain {
		c.Flags |= lane.ConfigChain
	}
	c.LinkIP, c.PeerLinkIP, c.LinkPort, c.LaneIP = linkIP(h.i), linkIP(1-h.i), [2]byte{linkPort >> 8, linkPort & 0xff}, laneIP
	c.LinkFrameMax = linkFrameMax
	if h.w.cfg.TwoPaths {
		c.OrderIP, c.PeerOrderIP = orderIP(h.i), orderIP(1-h.i)
	}
	c.HeartbeatNs, c.TickNs, c.HangTicks, c.SilenceTicks = heartbeatNs, tickNs, hangTicks, silentTicks
	h.kernel = recv.New(0, h.table, &h.word, h.ring(), new([wire.NHWords]uint32))
	gone := func() bool { return h.p == nil }
	h.kernel.EngineGone, h.kernel.OrderSocketGone, h.kernel.LinkSocketGone = gone, gone, gone
	if !h.tickPending {
		h.tickPending = true
		h.w.plan(event{atNs: h.w.nowNs + tickNs, kind: evTick, host: h.i})
	}
}

const (
	linkPort     = 7400
	linkFrameMax = 1800
)

var laneIP = [4]byte{10, 9, 9, 9}

func linkIP(i int) [4]byte { return [4]byte{10, 0, 0, byte(i + 1)} }

func orderIP(i int) [4]byte { return [4]byte{10, 9, 9, byte(i + 1)} }

func orderMAC(i int) [6]byte { return [6]byte{2, 9, 9, 9, 9, byte(i + 1)} }

func (h *host) dropQueue() {
	for _, b := range h.queue {
		h.w.drop(b)
	}
	h.queue = h.queue[:0]
}

// ring is another view of the host's ring.
func (h *host) ring() *ring.Ring {
	r, err := ring.New(h.mem, h.w.cfg.RingBytes, &h.table.Tail)
	if err != nil {
		panic(err)
	}
	r.ShareCuts(&h.table.Cuts)
	return r
}

// frozen reports whether the host stands still; what comes then waits.
func (h *host) frozen(e event) bool {
	if h.w.nowNs >= h.frozenNs {
		return false
	}
	e.atNs, e.host = h.frozenNs+h.w.between(0, 50*us), h.i
	h.w.plan(e)
	return true
}

// tick is the kernel's timer.
func (h *host) tick() {
	if h.frozen(event{kind: evTick}) {
		return
	}
	if !h.off && h.kernel.Tick(h.clockNs()) {
		h.w.judge.accuses(h)
	}
	late := int64(0)
	if h.w.chance(50) {
		late = h.w.between(0, tickNs)
	}
	h.w.plan(event{atNs: h.w.nowNs + tickNs + late + h.w.between(2*us, 20*us), kind: evTick, host: h.i})
}

// receive is the link NIC: the kernel's program sees a frame first.
func (h *host) receive(b []byte) {
	if h.frozen(event{kind: evFrame, frame: b}) {
		return
	}
	if h.off {
		h.w.drop(b)
		return
	}
	before, was := h.table.Peer.Frames, lane.Load(&h.word)
	verdict, n, _ := h.kernel.Step(b, h.clockNs(), h.reply[:])
	h.archive()
	if h.table.Peer.Frames != before {
		h.w.judge.heard[h.i] = h.w.nowNs
	}
	if now := lane.Load(&h.word); now != was && now.State() == lane.Candidate {
		h.w.judge.proven(h, now)
	}
	switch verdict {
	case recv.Answer:
		h.w.net.send(h.w, 1-h.i, h.reply[:n])
	case recv.Release:
		if was.State() == lane.Standby {
			h.w.judge.chained(h, b[n:], was)
		} else {
			h.w.judge.letOut(h, b[n:], lane.Load(&h.word), byRide)
		}
	case recv.ToEngine:
		if h.p != nil && len(h.queue) < 256 {
			h.queue = append(h.queue, b)
			return
		}
	}
	h.w.drop(b)
}

// receiveSecond is the order NIC, for what the peer sends there.
func (h *host) receiveSecond(b []byte) {
	if h.frozen(event{kind: evSecond, frame: b}) {
		return
	}
	if h.off {
		h.w.drop(b)
		return
	}
	before := h.table.Second.Frames
	if verdict, n, _ := h.kernel.Steer(b, h.clockNs(), h.reply[:]); verdict == recv.Answer {
		h.w.second.send(h.w, 1-h.i, h.reply[:n])
	}
	if h.table.Second.Frames != before {
		h.w.judge.heard[h.i] = h.w.nowNs
	}
	h.w.drop(b)
}

// order is a client's order, which reaches both order NICs: the lane's address
// is where the switch last saw it, and that may be either.
func (w *World) order() {
	for _, h := range w.hosts {
		if w.nowNs < h.frozenNs || h.off {
			continue
		}
		var b [frame.HeaderBytes + 16]byte
		var tpl frame.Template
		client, server := frame.Endpoint{IP: frame.IPv4([4]byte{10, 1, 1, 1}), Port: 9000}, frame.Endpoint{IP: frame.IPv4(laneIP), Port: 9001}
		tpl.Put(b[:], &client, 9000, &server, 16)
		if verdict, n, _ := h.kernel.Steer(b[:], h.clockNs(), h.reply[:]); verdict == recv.Forward {
			w.net.send(w, 1-h.i, h.reply[:n])
		}
	}
	w.plan(event{atNs: w.nowNs + w.between(100*us, 2*ms), kind: evOrder})
}
