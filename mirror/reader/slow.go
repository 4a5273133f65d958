package reader

import (
	"errors"
	"fmt"
	"time"

	"onebeat/mirror/archive"
	"onebeat/mirror/ring"
)

// idle decides how often a reader that has nothing to read looks whether the
// node's memory is still the same.
type idle struct {
	polls  int
	nextAt time.Time
}

const (
	currentEvery = 100 * time.Millisecond
	// pollsPerClock: reading the clock costs a spinning reader 50 ns each time.
	pollsPerClock = 16
)

func (i *idle) due() bool {
	if i.polls++; i.polls%pollsPerClock != 0 && i.polls > pollsPerClock {
		return false
	}
	now := time.Now()
	if now.Before(i.nextAt) {
		return false
	}
	i.nextAt = now.Add(currentEvery)
	return true
}

// attach opens the node's memory, if there is any.
func (r *Reader) attach() error {
	if r.c.BPFFS == "" && r.c.File == "" {
		return nil
	}
	m, err := openMemory(&r.c)
	if errors.Is(err, errGone) {
		return nil
	} else if err != nil {
		return err
	}
	r.mem, r.cuts, r.bound, r.gone, r.proven = m, m.ring.Cuts()&^1, 0, 0, false
	return nil
}

func (r *Reader) detach() error {
	if r.mem == nil {
		return nil
	}
	err := r.mem.unmap()
	r.mem, r.bound = nil, 0
	return err
}

// wait notes why nothing can be read now.
func (r *Reader) wait(why string) (bool, error) {
	r.waits = why
	return false, nil
}

// look finds out what can be read at the position: ready when there is something,
// with bound set behind it.
func (r *Reader) look() (ready bool, err error) {
	if r.idle.due() {
		if err := r.renew(); err != nil {
			return false, err
		}
	}
	if r.mem == nil {
		if !r.c.Uncommitted {
			return r.wait("no node shares its memory, and without it nothing says what is committed")
		}
		return r.lookBack(r.history.end())
	}
	g := r.mem.ring
	cuts := g.Cuts()
	if cuts%2 != 0 {
		return r.wait("the log is being cut")
	}
	if cuts != r.cuts {
		if err := r.cut(cuts); err != nil {
			return false, err
		}
	}
	if !r.proven {
		if ok, err := r.prove(); !ok || err != nil {
			return ok, err
		}
	}
	end := r.End()
	if g.Cuts() != cuts {
		return false, nil // look again
	}
	switch {
	case r.position == end:
		return r.wait("")
	case r.position > end:
		return r.wait("the log has not come so far")
	case r.inRing() && (!r.history.active || r.mem.comfortable(r.position)):
		if err := r.history.leave(); err != nil {
			return false, err
		}
		r.bound = end
		return true, nil
	}
	return r.lapped(end)
}

// inRing reports whether the ring still holds the position.
func (r *Reader) inRing() bool { return r.position >= r.gone && r.mem.ring.Holds(r.position) }

// renew looks whether the node's memory is still the one that is mapped.
func (r *Reader) renew() error {
	if r.mem != nil {
		if r.mem.current() {
			return nil
		}
		if r.identity == (archive.Identity{}) {
			r.identity, _ = r.findIdentity()
		}
		if err := errors.Join(r.detach(), r.history.leave()); err != nil {
			return err
		}
	}
	return r.attach()
}

// cut takes in that the log was cut.
func (r *Reader) cut(now uint64) error {
	position := r.mem.ring.CutSince(r.cuts, now)
	base, reset := r.mem.ring.ResetSince(r.cuts, now)
	r.cuts, r.bound, r.gone = now, 0, base
	if err := r.history.leave(); err != nil {
		return err
	}
	switch {
	case reset, position == 0:
		// Begun anew behind a state, emptied, or cut too often to say where: what
		// lies before is in the archive, if anywhere.
		r.proven = false
	case position < r.position:
		taken := r.last.ok && position <= r.last.position
		r.position, r.last = position, last{}
		if taken {
			return &Cut{position}
		}
	}
	return nil
}

// lapped goes on in the archive, where the ring no longer holds the position.
func (r *Reader) lapped(end uint64) (ready bool, err error) {
	if !r.history.active {
		r.laps++
	}
	if !r.history.has() {
		return false, r.lost()
	}
	// What it holds counts up to where whoever archives has compared it with this
	// ring, after the ring's last cut.
	held, ok := r.mem.archived(r.cuts)
	if !ok || held <= r.position {
		if !r.inRing() {
			return r.wait("the ring was faster, and the archive has not come so far")
		}
		r.bound = end // before it goes, too
		return true, r.history.leave()
	}
	return r.lookBack(min(end, held))
}

// lookBack has the archive read on.
func (r *Reader) lookBack(end uint64) (ready bool, err error) {
	if r.position >= end {
		return r.wait("")
	}
	more, err := r.history.fill(r.position, end)
	var gap *archive.Gap
	switch {
	case errors.As(err, &gap):
		return false, fmt.Errorf("%w: %w", ErrLapped, gap)
	case err != nil:
		return false, err
	case !more:
		return r.wait("the archive has not come so far")
	}
	r.bound = r.history.to
	return true, nil
}

// lost says that records are nowhere.
func (r *Reader) lost() error {
	to := max(r.mem.ring.Oldest(), r.position+ring.AlignBytes)
	return fmt.Errorf("%w: %w", ErrLapped, &archive.Gap{From: r.position, To: to})
}

// missed finds out why there was no record: overtaken, cut, or harmed. A reader
// that was overtaken looks again.
func (r *Reader) missed() error {
	r.bound = 0
	if r.history.active {
		return r.history.leave() // read again
	}
	m := r.mem
	if m.ring.Cuts() != r.cuts {
		return nil
	}
	// Who writes in bigger pieces than records may have been further than Holds
	// allows for.
	if tail := m.ring.Tail(); tail-r.position > uint64(m.ring.SizeBytes())-min(uint64(m.ring.SizeBytes())/8, writeMaxBytes) {
		r.gone = r.position + 1
		return nil
	}
	_, _, state := m.ring.Read(r.position)
	if state == ring.Found || m.ring.Cuts() != r.cuts {
		return nil
	}
	// A ring that was begun anew behind a state, before it was mapped here, holds
	// nothing before that.
	if oldest := m.ring.Oldest(); oldest > r.position && m.ring.Cuts() == r.cuts {
		r.gone = oldest
		return nil
	}
	return fmt.Errorf("%w in the ring at %d: %v", ErrCorrupt, r.position, state)
}

// writeMaxBytes bounds what a writer may have written behind the tail.
const writeMaxBytes = 1 << 20
