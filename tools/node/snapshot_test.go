package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"onebeat/bench/lab"
	"onebeat/mirror/disk"
	"onebeat/mirror/lane"
	"onebeat/mirror/snapshot"
)

// saving is a setting whose nodes keep archives and, if so, snapshots.
func saving(s setting, dir string, snapshots bool) setting {
	s = archived(s, dir)
	if snapshots {
		s.sections += "retain_size = \"256KiB\"\n[snapshot]\nrecords = 1000\nkeep = 2\n"
	}
	return s
}

// wrapped lets orders come until no ring holds the log's beginning.
func (w *world) wrapped() {
	w.t.Helper()
	w.until("wrapped rings", func() bool {
		w.burst(2000, 20)
		return w.nodes[lab.NodeA].lanes[0].ring.Oldest() > 64<<10 || w.nodes[lab.NodeB] != nil && w.nodes[lab.NodeB].lanes[0].ring.Oldest() > 64<<10
	})
}

func (w *world) snapshots(place string) *snapshot.Status {
	w.t.Helper()
	s := w.nodes[place].lanes[0].keeper.Status()
	return &s
}

// TestRestartBehindAWrappedRing: standby, writer and both in turn start again when
// their rings no longer hold the beginning: from snapshot, archive and ring, or from
// the whole archive, they hold the state that the others have.
func TestRestartBehindAWrappedRing(t *testing.T) {
	for _, app := range []string{"book", "gateway"} {
		for _, snapshots := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s snapshots %t", app, snapshots), func(t *testing.T) {
				w := steady(t, saving(setting{app: app}, filepath.Join(t.TempDir(), "archive"), snapshots))
				w.wrapped()
				w.drained()
				if snapshots {
					// Retention asks only now and then what the snapshots need.
					w.until("snapshots of the standby, and an archive that begins behind the first of them", func() bool {
						s := w.snapshots(lab.NodeB)
						return s.Written >= 2 && s.Files == 2 && w.nodes[lab.NodeB].lanes[0].archive.Status().Begin > 0
					})
					if s, a := w.snapshots(lab.NodeB), w.nodes[lab.NodeB].lanes[0].archive.Status(); a.Begin >= s.Oldest {
						t.Fatalf("the archive begins at %d, the oldest snapshot needs what is before %d", a.Begin, s.Oldest)
					}
				}
				w.kill(lab.NodeB)
				w.restart(lab.NodeB)
				w.untilState(lab.NodeB, lane.Standby)
				w.wasRestored(lab.NodeB, snapshots)
				w.orders(100)
				w.sameState()
				w.drained()
				w.kill(lab.NodeA)
				w.untilState(lab.NodeB, lane.Active)
				w.orders(100)
				w.restart(lab.NodeA)
				w.untilState(lab.NodeA, lane.Standby)
				w.wasRestored(lab.NodeA, snapshots)
				w.orders(100)
				w.checkOnce()
				w.sameState()
			})
		}
	}
}

func (w *world) wasRestored(place string, snapshots bool) {
	w.t.Helper()
	// The keeper looks behind the loop what became of the state that it gave.
	w.until("the keeper", func() bool { return w.snapshots(place).Restored != nil })
	s := w.snapshots(place)
	if (s.Restored.Snapshot != 0) != snapshots || s.Restored.Position == 0 {
		w.t.Fatalf("%s: restored %+v of %+v", place, s.Restored, s)
	}
}

// TestSoleNodeBehindAWrappedRing serves again by itself.
func TestSoleNodeBehindAWrappedRing(t *testing.T) {
	w := newWorld(t, saving(setting{app: "gateway", noPeer: true}, filepath.Join(t.TempDir(), "archive"), true))
	w.untilState(lab.NodeA, lane.Active)
	w.until("session", w.client.c.Ready)
	w.wrapped()
	p := w.nodes[lab.NodeA].lanes[0]
	w.until("archive", func() bool { return p.archive.Archived() == p.mem.table.Tail && w.snapshots(lab.NodeA).Files == 2 })
	w.kill(lab.NodeA)
	w.restart(lab.NodeA)
	w.untilState(lab.NodeA, lane.Active)
	w.orders(100)
	w.wasRestored(lab.NodeA, true)
	w.checkOnce()
}

// TestCutBehindAWrappedRing: a writer that comes back must cut what only it had,
// below what its machine has applied: the machine comes from elsewhere, too.
func TestCutBehindAWrappedRing(t *testing.T) {
	w := steady(t, saving(setting{app: "gateway"}, filepath.Join(t.TempDir(), "archive"), true))
	w.wrapped()
	w.drained()
	cut := w.cutOff()
	w.restart(lab.NodeA)
	w.untilState(lab.NodeA, lane.Standby)
	w.orders(50)
	w.drained()
	w.sameState()
	w.checkOnce()
	t.Logf("cut at %d; %+v", cut.From, w.snapshots(lab.NodeA).Restored)
}

// TestNewestSnapshotHarmed: the one before is used, and it is said.
func TestNewestSnapshotHarmed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "archive")
	w := steady(t, saving(setting{app: "book"}, dir, true))
	w.wrapped()
	w.drained()
	w.until("two snapshots", func() bool { w.orders(50); return w.snapshots(lab.NodeB).Files == 2 })
	w.drained()
	w.kill(lab.NodeB)
	files, err := snapshot.List(disk.OS{}, SnapshotDir(w.config(lab.NodeB), 0))
	if err != nil || len(files) != 2 {
		t.Fatal(files, err)
	}
	harm(t, files[1].Path, 1000)
	w.restart(lab.NodeB)
	w.untilState(lab.NodeB, lane.Standby)
	if r := w.snapshots(lab.NodeB).Restored; r == nil || r.Snapshot != files[0].Header.Position {
		t.Fatalf("%+v, want from %d", r, files[0].Header.Position)
	}
	if !w.saidSome(lab.NodeB, files[1].Path) {
		t.Error("nothing was said of", files[1].Path)
	}
	w.orders(50)
	w.sameState()
}

func harm(t *testing.T, path string, offset int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[offset] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (w *world) saidSome(place, text string) bool {
	for _, line := range w.said.of(place) {
		if strings.Contains(line, text) {
			return true
		}
	}
	return false
}

// TestHistoryMissing: without an archive that reaches back, a node says what it lacks
// and how to get it, and serves nothing.
func TestHistoryMissing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "archive")
	w := steady(t, saving(setting{app: "book"}, dir, false))
	w.wrapped()
	w.kill(lab.NodeB)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	w.restart(lab.NodeB)
	w.until("it is said", func() bool { return w.saidSome(lab.NodeB, "history is missing") })
	for range 500 {
		w.step()
	}
	if s := w.snapshots(lab.NodeB); w.word(lab.NodeB).State() != lane.Syncing || s.State != "missing" || s.LastError == "" {
		t.Fatalf("%v %+v", w.word(lab.NodeB), s)
	}
}

// TestUDPSnapshots: keepers beside running loops, on both nodes; what they save is
// what the nodes hold.
func TestUDPSnapshots(t *testing.T) {
	w := steadyUDP(t, saving(setting{app: "gateway"}, filepath.Join(t.TempDir(), "archive"), true))
	w.until("snapshots", func() bool {
		w.orders(100)
		return w.snapshots(lab.NodeA).Written > 0 && w.snapshots(lab.NodeB).Written > 0
	})
	w.drained()
	for _, place := range []string{lab.NodeA, lab.NodeB} {
		p := w.nodes[place].lanes[0]
		w.until("the keeper", func() bool { return w.snapshots(place).Position == p.mem.table.Tail })
		for w.keepersEnded(true) {
		}
		if got, want := p.keeper.replay.Machine.Digest(), p.loop.Digest(); got != want {
			t.Errorf("%s: its keeper's digest is %x, its loop's %x", place, got, want)
		}
	}
}
