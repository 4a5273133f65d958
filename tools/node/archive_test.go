package node

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"onebeat/bench/lab"
	"onebeat/engine/app"
	"onebeat/mirror/archive"
	"onebeat/mirror/disk"
	"onebeat/mirror/lane"
)

// archived is a setting whose nodes keep archives under a directory.
func archived(s setting, dir string) setting {
	s.calm = true // a disk's sync in the one goroutine of a world is no hang
	s.sections += fmt.Sprintf("\n[archive]\ndir = %q\nsegment_size = \"64KiB\"\nsync = \"batch\"\ncompress = false\n", dir)
	return s
}

// drained steps until both archives hold all of their rings.
func (w *world) drained() {
	w.t.Helper()
	w.until("archives", func() bool {
		for _, place := range []string{lab.NodeA, lab.NodeB} {
			if p := w.nodes[place].lanes[0]; p.archive.Archived() != p.mem.table.Tail {
				return false
			}
		}
		return w.nodes[lab.NodeA].lanes[0].mem.table.Tail == w.nodes[lab.NodeB].lanes[0].mem.table.Tail
	})
}

// sameArchives: both nodes' archives are whole and of one log.
func (w *world) sameArchives(dir string) {
	w.t.Helper()
	var v [2]*archive.Verified
	for i, place := range []string{lab.NodeA, lab.NodeB} {
		var err error
		if v[i], err = archive.Verify(disk.OS{}, archive.LaneDir(dir, w.config(place).Node.Name, 0), nil); err != nil {
			w.t.Fatal(err)
		}
		if len(v[i].Problems) > 0 || len(v[i].Gaps) > 0 || v[i].Begin != 0 {
			w.t.Fatalf("%s: %+v", place, v[i])
		}
		if s := w.nodes[place].status().Lane(0).Archive; s == nil || s.End != v[i].End || s.State != "following" {
			w.t.Errorf("%s: status %+v", place, s)
		}
	}
	if v[0].Chain != v[1].Chain || v[0].End != v[1].End {
		w.t.Fatalf("two archives of one log differ:\n%+v\n%+v", v[0], v[1])
	}
}

// The writer and the standby archive the same log; a handover changes nothing.
func TestUDPArchives(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "archive")
	w := steadyUDP(t, archived(setting{app: "gateway"}, dir))
	w.orders(300)
	w.drained()
	w.sameArchives(dir)
	w.giveLane(lab.NodeA, lab.NodeB)
	w.orders(100)
	w.drained()
	w.sameArchives(dir)
	for _, place := range []string{lab.NodeA, lab.NodeB} {
		w.replayed(place, dir)
	}
}

// replayed rebuilds a node's state from its archive and compares the digests, once
// more if time brought the node another record meanwhile.
func (w *world) replayed(place, dir string) {
	w.t.Helper()
	var node, archived uint64
	for range 3 {
		var diverged bool
		if node, archived, diverged = w.digests(place, dir); node == archived && !diverged {
			return
		}
		w.drained()
	}
	w.t.Errorf("%s: digest %x, from its archive %x", place, node, archived)
}

func (w *world) digests(place, dir string) (node, archived uint64, diverged bool) {
	w.t.Helper()
	cfg := w.config(place)
	s, err := NewReplay(cfg.Lane(0))
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := archive.OpenReader(disk.OS{}, archive.LaneDir(dir, cfg.Node.Name, 0))
	if err != nil {
		w.t.Fatal(err)
	}
	defer r.Close()
	for {
		var rec app.Record
		more, err := r.Next(&rec)
		if err != nil {
			w.t.Fatal(err)
		}
		if !more {
			break
		}
		s.Apply(&rec)
	}
	p := w.nodes[place].lanes[0]
	p.loop.AskReport()
	p.loop.DoWork(w.clock.NowNs())
	report, ok := p.loop.Report()
	if !ok {
		w.t.Fatal("no report")
	}
	return report.Digest, s.Digest(), s.Diverged()
}

// A rejoining node's archive is cut with its log, kept, and goes on as the
// writer's.
func TestArchiveIsCutWithTheLog(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "archive")
	w := steady(t, archived(setting{app: "book"}, dir))
	cut := w.cutOff()
	w.restart(lab.NodeA)
	w.untilState(lab.NodeA, lane.Standby)
	w.orders(50)
	w.drained()
	w.sameArchives(dir)
	if s := w.nodes[lab.NodeA].lanes[0].archive.Status(); s.Cuts != 1 {
		t.Errorf("%+v, the log was cut at %d", s, cut.From)
	}
	kept, err := filepath.Glob(filepath.Join(dir, "*", fmt.Sprintf("cut-*-%d-*.log", cut.From)))
	if err != nil || len(kept) != 1 {
		t.Error(kept, err)
	}
}

// The gateway's state is rebuilt from its archive far faster than orders come.
// The rate is logged: measured alone on the machine it is the one to quote.
func TestReplayRate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "archive")
	w := steadyUDP(t, archived(setting{app: "gateway"}, dir))
	w.orders(3000)
	p := w.nodes[lab.NodeA].lanes[0]
	w.until("archive", func() bool { return p.archive.Archived() == p.mem.table.Tail })
	cfg := w.config(lab.NodeA)
	best := 0.0
	for range 5 {
		s, err := NewReplay(cfg.Lane(0))
		if err != nil {
			t.Fatal(err)
		}
		r, err := archive.OpenReader(disk.OS{}, archive.LaneDir(dir, cfg.Node.Name, 0))
		if err != nil {
			t.Fatal(err)
		}
		records, began := 0, time.Now()
		for {
			var rec app.Record
			more, err := r.Next(&rec)
			if err != nil {
				t.Fatal(err)
			}
			if !more {
				break
			}
			s.Apply(&rec)
			records++
		}
		rate := float64(records) / time.Since(began).Seconds()
		best = max(best, rate)
		t.Logf("%d records, %.0f records/s", records, rate)
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	// The race detector costs it a factor of forty.
	if best < 10_000 {
		t.Errorf("%.0f records/s", best)
	}
}
