package node

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"onebeat/bench/lab"
	"onebeat/engine/app"
	"onebeat/mirror/lane"
)

// forgetful is a machine that leaves out one record: the so-many-eth.
type forgetful struct {
	app.Machine
	left int
}

func (f *forgetful) Apply(rec *app.Record, out *app.Outbox) {
	if rec.Type == app.RecordMessage {
		if f.left--; f.left == 0 {
			return
		}
	}
	f.Machine.Apply(rec, out)
}

func forgets(s setting, place string) setting {
	s.alter = map[string]func(app.Machine) app.Machine{place: func(m app.Machine) app.Machine { return &forgetful{m, 100} }}
	return s
}

// TestDivergedStandbyIsQuarantined: a standby whose state is not the log's leaves the
// set by a new epoch, says how its state differs, and never serves; the writer goes
// on. Started again it is right again.
func TestDivergedStandbyIsQuarantined(t *testing.T) {
	for name, keep := range map[string]func(setting, string) setting{
		"ring only":     func(s setting, _ string) setting { s.calm = true; return s },
		"whole archive": func(s setting, dir string) setting { return saving(s, dir, false) },
		"snapshots":     func(s setting, dir string) setting { return saving(s, dir, true) },
	} {
		t.Run(name, func(t *testing.T) {
			w := steady(t, keep(forgets(setting{app: "gateway"}, lab.NodeB), filepath.Join(t.TempDir(), "archive")))
			epoch := w.word(lab.NodeA).Epoch()
			w.until("quarantine", func() bool {
				w.burst(200, 20)
				return w.word(lab.NodeB).State() == lane.Syncing && w.word(lab.NodeA).Epoch() > epoch
			})
			if r := w.nodes[lab.NodeA].lanes[0].replica.Record(); r.Count() != 1 || r.Writer != 1 || w.word(lab.NodeA).State() != lane.Active {
				t.Fatal(w.describe())
			}
			w.until("the file", func() bool { return w.saidSome(lab.NodeB, "quarantined: this node's state") })
			w.checkDivergence()
			if !w.saidSome(lab.NodeA, "standby-out") {
				t.Error("the writer does not say it")
			}
			w.orders(100)
			epoch = w.word(lab.NodeA).Epoch()
			w.kill(lab.NodeA)
			for range 3000 {
				w.step()
			}
			if s := w.word(lab.NodeB).State(); s != lane.Syncing {
				t.Fatalf("it is %v%s", s, w.describe())
			}
			w.restart(lab.NodeA)
			w.untilState(lab.NodeA, lane.Active)
			w.set.alter = nil
			w.kill(lab.NodeB)
			w.restart(lab.NodeB)
			w.untilState(lab.NodeB, lane.Standby)
			w.orders(100)
			w.checkOnce()
			w.sameState()
		})
	}
}

// TestQuarantinedRingIsNoProof: the writer went on without its quarantined standby and
// then lost its memory. The standby, started again, holds less than was released: it
// must not take the lost ring for a proof that it may go on.
func TestQuarantinedRingIsNoProof(t *testing.T) {
	w := steady(t, forgets(setting{app: "book", calm: true}, lab.NodeB))
	epoch := w.word(lab.NodeA).Epoch()
	w.until("quarantine", func() bool {
		w.burst(400, 20)
		return w.word(lab.NodeB).State() == lane.Syncing && w.word(lab.NodeA).Epoch() > epoch
	})
	w.orders(100)
	w.kill(lab.NodeA)
	w.cleanup(lab.NodeA)
	w.set.alter = nil
	w.kill(lab.NodeB)
	w.restart(lab.NodeB)
	w.restart(lab.NodeA)
	heard := func() bool { return w.nodes[lab.NodeB].lanes[0].mem.table.Config.PeerIncarnation != 0 }
	w.until("they know each other", heard)
	w.steps(time.Second)
	if s := w.word(lab.NodeB).State(); s != lane.Syncing {
		t.Fatalf("it is %v%s", s, w.describe())
	}
}

// checkDivergence reads what the quarantined node wrote.
func (w *world) checkDivergence() {
	w.t.Helper()
	n := w.nodes[lab.NodeB]
	files, err := filepath.Glob(filepath.Join(n.cfg.Node.RunDir, n.cfg.Node.Name+"-lane0-diverged-*.json"))
	if err != nil || len(files) != 1 {
		w.t.Fatal(files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		w.t.Fatal(err)
	}
	var d Diverged
	if err := json.Unmarshal(text, &d); err != nil {
		w.t.Fatal(err)
	}
	if d.LogDigest == d.OwnDigest || d.ReplayDigest != d.LogDigest || d.Node != n.cfg.Node.Name || d.Record == 0 {
		w.t.Fatalf("%s", text)
	}
	var sections []string
	for _, s := range d.Sections {
		sections = append(sections, s.Section)
		if s.Rows == 0 || len(s.First) == 0 {
			w.t.Errorf("%+v", s)
		}
	}
	for _, want := range []string{"sessions", "answers", "gateway", "orders", "used ClOrdIDs"} {
		if !slices.Contains(sections, want) {
			w.t.Errorf("%s is not among the sections that differ: %v", want, sections)
		}
	}
	w.t.Logf("%s; from %d; differ: %v", d.Verdict, d.ReplayedFrom, sections)
	if l := n.status().Lane(0); !l.Diverged || l.Snapshots == nil || l.Snapshots.State != "quarantined" {
		w.t.Errorf("status %+v", l)
	}
}
