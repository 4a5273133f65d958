package sim

import (
	"onebeat/mirror/policy"
	"onebeat/mirror/ring"
)

// archiver is the cold goroutine that brings a host's log to its disk: late, a
// part at a time, and told of cuts when it looks.
type archiver struct {
	h     *host
	ring  *ring.Ring // the process's
	known uint64     // the ring's cuts that it knows of
}

// unknownCuts: it has not compared the disk with the ring yet.
const unknownCuts = ^uint64(0)

// Held implements mirror.Archive.
func (a *archiver) Held(cuts uint64) (position uint64, works bool) {
	works = a.h.w.nowNs >= a.h.diskFullNs
	if a.known != cuts {
		return 0, works
	}
	return uint64(len(a.h.disk)), works
}

// step is a look at the ring, now and then.
func (a *archiver) step() {
	h := a.h
	if h.w.nowNs < h.diskFullNs || !h.w.chance(3) {
		return
	}
	if !h.w.peace && h.w.chance(200) {
		h.diskFullNs = h.w.nowNs + h.w.between(200*us, 20*ms) // or slow
		return
	}
	cuts, tail := a.ring.Cuts(), a.ring.Tail()
	switch {
	case a.known == unknownCuts:
		n := 0
		for n < min(len(h.disk), int(tail)) && h.disk[n] == h.mem[n] {
			n++
		}
		h.disk = h.disk[:n/ring.AlignBytes*ring.AlignBytes]
	case a.known != cuts:
		h.disk = h.disk[:min(uint64(len(h.disk)), a.ring.CutSince(a.known, cuts))]
	}
	a.known = cuts
	from := uint64(len(h.disk))
	if from >= tail {
		return
	}
	n := tail - from
	if h.w.chance(3) {
		n = n / 2 / ring.AlignBytes * ring.AlignBytes
	}
	h.disk = append(h.disk, h.mem[from:from+n]...)
}

// stands reports whether a record that a writer releases by itself is where the
// policy in force says that the other member of the set has it.
func (w *World) stands(h *host, position, end uint64) bool {
	other, p := w.hosts[1-h.i], h.p.r.InForce()
	switch p.Policy {
	case policy.NameApplied:
		return other.applied >= end
	case policy.NameArchived:
		return uint64(len(other.disk)) >= end && string(other.disk[position:end]) == string(h.mem[position:end])
	}
	return true
}

// changePolicy is an operator who changes what outputs wait for.
func (w *World) changePolicy() {
	h := w.serving()
	if h == nil || h.p == nil {
		return
	}
	t := h.p.r.InForce().Terms
	names := []string{policy.NameMirrored, policy.NameApplied, policy.NameArchived}
	if w.cfg.Mode.None {
		names[2] = policy.NameNone
	}
	t.Policy = names[w.dice.IntN(len(names))]
	w.tell("host %d is to change to %v", h.i, t)
	h.p.r.Commands.ChangeTerms(t, "simulator: it is time")
}

// sameTerms: two nodes of a lane in order that have applied the same follow the
// same policy.
func (j *judge) sameTerms(writer, standby *host) {
	a, b := writer.p.r.InForce(), standby.p.r.InForce()
	if standby.p.r.Applied() > a.Position && (a.Terms != b.Terms || a.Revision != b.Revision) {
		j.w.fail("the writer's policy is %v (change %d), the standby's %v (change %d)", a.Terms, a.Revision, b.Terms, b.Revision)
	}
}
