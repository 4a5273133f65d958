package sim

import (
	"onebeat/mirror"
	"onebeat/mirror/lane"
)

// fault lets something go wrong, and plans its end and the next one. A lane that
// is in order again is not left so for long.
func (w *World) fault() {
	if w.cfg.Scripted {
		w.direct()
		return
	}
	if w.faults--; w.faults < 0 {
		return
	}
	w.settled = w.isSettled()
	pause := w.between(1*ms, 25*ms)
	if w.settled {
		pause = w.between(200*us, 2*ms)
	}
	w.plan(event{atNs: w.nowNs + pause, kind: evFault})
	h := w.hosts[w.dice.IntN(2)]
	if w.cfg.LazyReader {
		w.lazyReader(h)
		return
	}
	if w.cfg.Diverges && w.chance(8) {
		w.diverge()
		return
	}
	if w.cfg.Mode.Changes && w.chance(4) {
		w.changePolicy()
		return
	}
	if serving := w.serving(); w.settled && w.chance(2) {
		h = serving
	}
	w.strike(h)
}

// strike lets something go wrong, mostly for one host.
func (w *World) strike(h *host) {
	switch n := w.dice.IntN(100); {
	case n < 26:
		w.kill(h)
	case n < 34:
		h.pausedNs = max(h.pausedNs, w.nowNs+w.between(1*ms, 30*ms))
		w.tell("host %d's process stops for %d us", h.i, (h.pausedNs-w.nowNs)/us)
	case n < 42:
		h.freeze(w.between(500*us, 20*ms))
	case n < 58:
		if h.p != nil && lane.Load(&h.word).State() == lane.Active {
			w.tell("host %d is to hand over", h.i)
			h.p.r.Commands.Put(mirror.CommandHandover)
		}
	case n < 68:
		w.cutCable(w.between(1*ms, 15*ms))
	case n < 76:
		w.noise(w.between(2*ms, 20*ms))
	case n < 84:
		w.reboot(h)
	case n < 87:
		w.tell("both processes die")
		for _, h := range w.hosts {
			w.kill(h)
		}
	case n < 90:
		w.net.replay(w, h.i)
	case n < 92:
		h.diskFullNs = w.nowNs + w.between(1*ms, 30*ms)
	default:
		w.witnessFault(h)
	}
}

func (w *World) undo(afterNs int64, what func()) {
	w.plan(event{atNs: w.nowNs + afterNs, kind: evUndo, undo: what})
}

// diverge makes a standby find that its state is not the log's. It is of no use
// until somebody starts its process again.
func (w *World) diverge() {
	for _, h := range w.hosts {
		p := h.p
		if p == nil || p.diverged || h.busy || lane.Load(&h.word).State() != lane.Standby {
			continue
		}
		w.tell("host %d's state is not the log's", h.i)
		w.result.Diverged++
		p.diverged = true
		p.r.Quarantine(mirror.EventDiverged)
		w.undo(w.between(1*ms, 40*ms), func() {
			if h.p == p {
				w.kill(h)
			}
		})
		return
	}
}

// kill ends a process; it starts again later.
func (w *World) kill(h *host) {
	if h.p == nil {
		return
	}
	w.tell("host %d's process dies", h.i)
	h.die()
	w.undo(w.restartNs(), h.revive)
}

// restartNs is how long a process is away: mostly a moment.
func (w *World) restartNs() int64 {
	if w.chance(4) {
		return w.between(0, 20*ms)
	}
	return w.between(0, 2*ms)
}

func (h *host) revive() {
	if h.p == nil && !h.off {
		h.w.tell("host %d's process starts", h.i)
		h.start()
	}
}

// freeze stops a whole host, its kernel too.
func (h *host) freeze(spanNs int64) {
	h.frozenNs = max(h.frozenNs, h.w.nowNs+spanNs)
	if spanNs > 2*tickNs {
		h.thawedNs = h.frozenNs
	}
	h.w.tell("host %d freezes for %d us", h.i, spanNs/us)
}

// cutCable cuts one direction or both: of the cable, of the order network
// between the hosts, or of both.
func (w *World) cutCable(spanNs int64) {
	which, nets := w.dice.IntN(3), []*network{&w.net}
	if w.cfg.TwoPaths { // the cable twice as often
		nets = [][]*network{{&w.net}, {&w.net}, {&w.second}, {&w.net, &w.second}}[w.dice.IntN(4)]
	}
	for _, n := range nets {
		for i := range n.cut {
			if which == 2 || which == i {
				n.cut[i] = true
				w.undo(spanNs, func() { n.cut[i] = false })
			}
		}
	}
	w.tell("cut for %d us: cable %v, order network %v", spanNs/us, w.net.cut, w.second.cut)
}

func (w *World) noise(spanNs int64) {
	w.tell("noise for %d us", spanNs/us)
	w.net.noisy, w.second.noisy, w.witness.noisy = true, true, true
	w.undo(spanNs, func() { w.net.noisy, w.second.noisy, w.witness.noisy = false, false, false })
}

// reboot takes a host's memory, of a lane that is in order: while one ring
// holds it all, that one is spared.
func (w *World) reboot(h *host) {
	if w.cfg.Gentle || w.fragile || !w.settled || w.cfg.Mode.Degrades {
		return
	}
	other := w.hosts[1-h.i]
	if other.p == nil || other.p.shooter.sent || h.p.shooter.sent {
		return // a second host would lose its memory
	}
	if w.cfg.Mode.Witness && w.witness.last.Epoch != lane.Load(&h.word).Epoch() || other.p.r.Draining() || h.p.r.Draining() {
		return
	}
	w.tell("host %d loses its memory", h.i)
	w.fragile, w.settled = true, false
	h.p = nil
	h.boot()
	w.undo(w.restartNs(), h.revive)
}

// witnessFault cuts a host, or both, off the witness, or takes its memory.
func (w *World) witnessFault(h *host) {
	if !w.cfg.Mode.Witness {
		return
	}
	x := &w.witness
	n := w.dice.IntN(8)
	if n == 0 && !w.cfg.Gentle {
		x.restart()
		w.tell("the witness forgets")
		return
	}
	span := w.between(500*us, 30*ms)
	w.tell("no way to the witness for %d us", span/us)
	for i := range x.cut {
		if n < 5 && i != h.i {
			continue
		}
		for way := range x.cut[i] {
			if n%3 == 0 || n%3 == way+1 {
				x.cut[i][way] = true
				w.undo(span, func() { x.cut[i][way] = false })
			}
		}
	}
}

// lazyReader stops the standby's engine only: its kernel goes on appending.
func (w *World) lazyReader(h *host) {
	if w.settled && lane.Load(&h.word).State() == lane.Standby {
		h.pausedNs = max(h.pausedNs, w.nowNs+w.between(1*ms, 25*ms))
	}
}
