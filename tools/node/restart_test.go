package node

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"onebeat/bench/lab"
	"onebeat/bpf"
	"onebeat/mirror/lane"
)

// sameState waits until both nodes have applied the same log, and compares what
// they made of it.
func (w *world) sameState() {
	w.t.Helper()
	w.sameLane(w.nodes[lab.NodeA].lanes[0], w.nodes[lab.NodeB].lanes[0])
}

func (w *world) sameLane(a, b *laneParts) {
	w.t.Helper()
	w.until("one log, applied", func() bool {
		return a.mem.table.Tail == b.mem.table.Tail && a.replica.Applied() == a.mem.table.Tail && b.replica.Applied() == b.mem.table.Tail
	})
	if da, db := a.loop.Digest(), b.loop.Digest(); da != db {
		w.t.Fatalf("states differ: %x %x%s", da, db, w.describe())
	}
	if a.replica.Record() != b.replica.Record() {
		w.t.Fatalf("records differ: %v %v", a.replica.Record(), b.replica.Record())
	}
	r := a.replica.Record()
	tail := a.mem.table.Tail
	size := uint64(len(a.mem.ringMem) - bpf.RingSlackBytes)
	from := max(a.ring.Oldest(), b.ring.Oldest()) // one may have begun behind a snapshot
	if tail > size {
		from = max(from, tail-size+4096)
	}
	for p := from; p < tail; p++ {
		if i := p % size; a.mem.ringMem[i] != b.mem.ringMem[i] {
			w.t.Fatalf("rings of %v differ at position %d of %d", r, p, tail)
		}
	}
}

// unacknowledged makes A append orders that B will never hold: the cable is cut,
// the orders come.
func (w *world) unacknowledged(n int) {
	w.t.Helper()
	w.carrier(lab.NodeB, lab.LinkNIC, false)
	a := w.nodes[lab.NodeA].lanes[0]
	before := a.mem.table.Tail
	for range n {
		w.client.order()
		w.step()
	}
	w.until("orders in A's log", func() bool { return a.mem.table.Tail > before })
}

func (w *world) carrier(place, nic string, up bool) {
	w.t.Helper()
	if err := w.lab.SetCarrier(place, nic, up); err != nil {
		w.t.Fatal(err)
	}
}

// A primary that dies and starts again finds its lane with the other node: it
// comes back as a standby, without what it alone had written.
func TestRestartedPrimaryComesBackAsStandby(t *testing.T) {
	for _, app := range []string{"book", "gateway"} {
		t.Run(app, func(t *testing.T) {
			w := steady(t, setting{app: app})
			w.unacknowledged(20)
			longer := w.nodes[lab.NodeA].lanes[0].mem.table.Tail
			cutAt := w.nodes[lab.NodeB].lanes[0].mem.table.Tail
			w.kill(lab.NodeA)
			w.carrier(lab.NodeB, lab.LinkNIC, true)
			w.untilState(lab.NodeB, lane.Active)
			w.orders(100)
			w.restart(lab.NodeA)
			w.untilState(lab.NodeA, lane.Standby)
			w.untilState(lab.NodeB, lane.Active)
			w.orders(100)
			w.checkOnce()
			w.sameState()
			if longer <= cutAt {
				t.Fatalf("A had %d, B %d: nothing was cut", longer, cutAt)
			}
			if r := w.nodes[lab.NodeB].lanes[0].replica.Record(); r.Count() != 2 || r.Writer != 2 {
				t.Fatal(w.describe())
			}
		})
	}
}

// A node without a peer goes on from its own ring.
func TestSoleNodeGoesOnAfterRestart(t *testing.T) {
	for _, app := range []string{"book", "gateway"} {
		t.Run(app, func(t *testing.T) {
			w := newWorld(t, setting{app: app, noPeer: true})
			w.untilState(lab.NodeA, lane.Active)
			w.until("session", w.client.c.Ready)
			for range 3 {
				w.orders(100)
				tail, records := w.nodes[lab.NodeA].lanes[0].mem.table.Tail, w.word(lab.NodeA).Epoch()
				for range 20 {
					w.client.order() // sent again after the restart
				}
				w.client.step()
				w.kill(lab.NodeA)
				w.restart(lab.NodeA)
				w.untilState(lab.NodeA, lane.Active)
				if now := w.nodes[lab.NodeA].lanes[0].mem.table.Tail; now <= tail || w.word(lab.NodeA).Epoch() <= records {
					t.Fatalf("tail %d after %d, %v", now, tail, w.word(lab.NodeA))
				}
			}
			w.orders(100)
			w.checkOnce()
			if s := w.client.c.Stats(); s.Establishes != 1 {
				t.Errorf("the session did not survive: %+v", s)
			}
		})
	}
}

// A standby that starts again is taken in again, without an order lost.
func TestRestartedStandbyIsTakenInAgain(t *testing.T) {
	for _, app := range []string{"book", "gateway"} {
		t.Run(app, func(t *testing.T) {
			w := steady(t, setting{app: app})
			for range 2 {
				epoch := w.word(lab.NodeA).Epoch()
				w.kill(lab.NodeB)
				for range 50 {
					w.client.order()
					w.step()
				}
				w.restart(lab.NodeB)
				w.untilState(lab.NodeB, lane.Standby)
				w.orders(100)
				if w.word(lab.NodeA).State() != lane.Active || w.word(lab.NodeA).Epoch() <= epoch {
					t.Fatal(w.describe())
				}
				w.sameState()
			}
			w.kill(lab.NodeA) // and it can take over
			w.orders(100)
			w.checkOnce()
		})
	}
}

// Both nodes die: the greater log claims the lane once both are back.
func TestBothRestartAndTheGreaterLogClaims(t *testing.T) {
	for _, first := range []string{lab.NodeA, lab.NodeB} {
		t.Run(first, func(t *testing.T) {
			w := steady(t, setting{app: "gateway"})
			w.unacknowledged(20)
			w.kill(lab.NodeA)
			w.kill(lab.NodeB)
			w.carrier(lab.NodeB, lab.LinkNIC, true)
			w.restart(first)
			for range 2000 {
				w.step()
			}
			if w.word(first).State() == lane.Active {
				t.Fatalf("%s serves alone: %s", first, w.describe())
			}
			w.restart(map[string]string{lab.NodeA: lab.NodeB, lab.NodeB: lab.NodeA}[first])
			w.untilState(lab.NodeA, lane.Active) // its log is longer
			w.untilState(lab.NodeB, lane.Standby)
			w.orders(100)
			w.checkOnce()
			w.sameState()
		})
	}
}

// A ring of another size means other positions: refused with what to do.
func TestRingOfAnotherSizeIsRefused(t *testing.T) {
	w := newWorld(t, setting{app: "book", noPeer: true})
	w.untilState(lab.NodeA, lane.Active)
	w.kill(lab.NodeA)
	path := w.configPath(lab.NodeA)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), "1MiB", "2MiB", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.start(lab.NodeA); !errors.Is(err, bpf.ErrIncompatible) || !strings.Contains(err.Error(), "--cleanup") {
		t.Fatalf("not refused: %v", err)
	}
	w.cleanup(lab.NodeA)
	w.restart(lab.NodeA)
	w.untilState(lab.NodeA, lane.Active)
}

// Two processes must not write one ring, and nobody cleans up under a running
// one. Afterwards nothing is left.
func TestSecondProcessAndCleanup(t *testing.T) {
	w := steady(t, setting{app: "gateway"})
	running := w.nodes[lab.NodeA]
	if err := w.start(lab.NodeA); !errors.Is(err, ErrRunning) {
		t.Fatalf("a second process was let in: %v", err)
	}
	if err := Cleanup(running.cfg); !errors.Is(err, ErrRunning) {
		t.Fatalf("cleaned up under a running node: %v", err)
	}
	w.orders(50)
	for _, place := range []string{lab.NodeA, lab.NodeB, lab.Venue} {
		w.kill(place)
		w.cleanup(place)
		if _, err := os.Stat(w.lab.BPFFS(place)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: pins are left: %v", place, err)
		}
		left, err := filepath.Glob(filepath.Join(w.dir, place+"*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range left {
			if filepath.Ext(path) != ".toml" {
				t.Errorf("%s: %s is left", place, path)
			}
		}
		w.cleanup(place) // twice is no error
	}
}

// A child that was forked and is not yet another program has a copy of the lock's
// file: a node that ended has given its name back all the same.
func TestLockIsNotLeftWithChildren(t *testing.T) {
	w := newUDPWorld(t, setting{app: "book", noPeer: true})
	copied, err := unix.FcntlInt(w.nodes[lab.NodeA].lock.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(copied)
	w.kill(lab.NodeA)
	w.restart(lab.NodeA)
	w.untilState(lab.NodeA, lane.Active)
}

// A standby that lost its memory is another one: taken in anew.
func TestStandbyWithNewRingIsTakenIn(t *testing.T) {
	w := steady(t, setting{app: "gateway"})
	w.kill(lab.NodeB)
	w.cleanup(lab.NodeB)
	w.restart(lab.NodeB)
	w.untilState(lab.NodeB, lane.Standby)
	w.orders(100)
	w.sameState()
	w.kill(lab.NodeA)
	w.orders(100)
	w.checkOnce()
}

// A primary that lost its memory cannot claim anything: its standby, which has
// every released output, goes on.
func TestPrimaryWithNewRingIsFollowed(t *testing.T) {
	w := steady(t, setting{app: "gateway"})
	w.kill(lab.NodeA)
	w.cleanup(lab.NodeA) // no kernel of its own speaks for it any more
	w.restart(lab.NodeA)
	w.untilState(lab.NodeB, lane.Active)
	w.untilState(lab.NodeA, lane.Standby)
	w.orders(100)
	w.checkOnce()
	w.sameState()
}

// refusal looks for what a node refused, in its log of events.
func (w *world) refusal(place, words string) bool {
	for _, line := range w.said.of(place) {
		if strings.Contains(line, words) {
			return true
		}
	}
	return false
}

// A ring that went round no longer holds the beginning of its log, and with it
// the state: a node that starts again must not serve from half of it.
func TestRestartWithoutTheLogsBeginning(t *testing.T) {
	wrap := func(t *testing.T, s setting) *world {
		w := newWorld(t, s)
		w.untilState(lab.NodeA, lane.Active)
		w.until("session", w.client.c.Ready)
		for w.nodes[lab.NodeA].lanes[0].mem.table.Tail < 1300<<10 {
			w.burst(2000, 20)
		}
		return w
	}
	t.Run("sole", func(t *testing.T) {
		w := newWorld(t, setting{app: "book", noPeer: true})
		w.untilState(lab.NodeA, lane.Active)
		w.until("session", w.client.c.Ready)
		w.burst(5000, 20)
		w.kill(lab.NodeA)
		w.restart(lab.NodeA) // the ring will hold the record of this epoch
		w.until("room", func() bool { return w.client.c.Ready() })
		w.burst(6000, 20)
		if m := &w.nodes[lab.NodeA].lanes[0].mem; m.table.Tail <= 1<<20 || w.epochRecord(lab.NodeA).Epoch == 0 {
			t.Fatalf("tail %d, record %v", m.table.Tail, w.epochRecord(lab.NodeA))
		}
		w.kill(lab.NodeA)
		w.restart(lab.NodeA)
		w.steps(50 * time.Millisecond)
		if s := w.word(lab.NodeA).State(); s == lane.Active || s == lane.Candidate {
			t.Fatalf("it serves without its state%s", w.describe())
		}
		if !w.refusal(lab.NodeA, "--cleanup") {
			t.Fatalf("it does not say why: %v", w.said.of(lab.NodeA))
		}
	})
	t.Run("standby", func(t *testing.T) {
		w := wrap(t, setting{app: "book"})
		w.untilState(lab.NodeB, lane.Standby)
		w.kill(lab.NodeB)
		w.restart(lab.NodeB)
		w.steps(50 * time.Millisecond)
		if s := w.word(lab.NodeB).State(); s == lane.Standby || s == lane.Candidate || s == lane.Active {
			t.Fatalf("it stands by without its state%s", w.describe())
		}
		if !w.refusal(lab.NodeB, "--cleanup") {
			t.Fatalf("it does not say why: %v", w.said.of(lab.NodeB))
		}
	})
	t.Run("killed primary", func(t *testing.T) {
		w := wrap(t, setting{app: "book"})
		w.kill(lab.NodeA)
		w.orders(50)
		w.restart(lab.NodeA)
		w.steps(50 * time.Millisecond)
		if s := w.word(lab.NodeA).State(); s == lane.Standby || s == lane.Candidate || s == lane.Active {
			t.Fatalf("it stands by without its state%s", w.describe())
		}
		w.orders(50)
		w.checkOnce()
		if !w.refusal(lab.NodeA, "--cleanup") {
			t.Fatalf("it does not say why: %v", w.said.of(lab.NodeA))
		}
	})
}
