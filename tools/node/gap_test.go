package node

import (
	"errors"
	"testing"

	"onebeat/bench/lab"
	"onebeat/mirror/archive"
	"onebeat/mirror/disk"
	"onebeat/mirror/lane"
)

// A disk that is full for longer than the ring holds: the archive lacks a part of
// the log for good, and says so. The state crosses that part in memory, and is saved
// behind it: the node starts again from there, and so does a peer that has lost
// everything.
func TestArchiveGap(t *testing.T) {
	for name, states := range map[string]func(*world){
		"the keeper crosses it": func(*world) {},
		// A keeper that lost its own state meanwhile gets the peer's.
		"a peer's state crosses it": func(w *world) {
			k := w.nodes[lab.NodeA].lanes[0].keeper
			for w.keepersEnded(true) {
			}
			if err := k.close(); err != nil {
				w.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) { archiveGap(t, states) })
	}
}

func archiveGap(t *testing.T, states func(*world)) {
	w := steady(t, streamed(t, setting{app: "gateway", extra: alone}, true))
	w.orders(200)
	w.drained()
	p := w.nodes[lab.NodeA].lanes[0]
	w.until("its keeper", func() bool { return w.snapshots(lab.NodeA).Position > 0 })
	before := p.archive.Archived()
	archiver := p.archive
	p.archive = nil // a disk that takes nothing: nobody steps it
	w.longer(3 << 19)
	states(w)
	w.longer(3 << 19)
	p.archive = archiver
	w.until("a snapshot behind the gap", func() bool {
		w.orders(20)
		return w.snapshots(lab.NodeA).Newest > before+(2<<20) && archiver.Status().Gaps == 1
	})
	if !w.hasSaid(lab.NodeA, "archive: gap") {
		t.Error("nothing was said of the gap")
	}
	w.drained()
	for w.keepersEnded(true) {
	}
	v, err := archive.Verify(disk.OS{}, archiver.Status().Dir, nil)
	if err != nil || len(v.Problems) > 0 {
		t.Fatal(v, err)
	}
	// The whole history of the newest snapshot is there, behind the gap.
	r, err := archive.OpenReader(disk.OS{}, archiver.Status().Dir)
	if err != nil {
		t.Fatal(err)
	}
	var gap *archive.Gap
	if err := r.Seek(w.snapshots(lab.NodeA).Newest); errors.As(err, &gap) {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	// Started again, and as the only source of a peer that has nothing.
	w.kill(lab.NodeB)
	w.cleanup(lab.NodeB)
	w.longer(3 << 19)
	w.orders(50)
	w.until("archive", func() bool { return archiver.Archived() == p.mem.table.Tail })
	w.kill(lab.NodeA)
	w.restart(lab.NodeA)
	w.untilState(lab.NodeA, lane.Active)
	w.wasRestored(lab.NodeA, true)
	w.restart(lab.NodeB)
	w.untilState(lab.NodeB, lane.Standby)
	w.orders(50)
	w.sameState()
	w.checkOnce()
}

// A standby comes back while the writer's disk takes nothing and the writer's ring has
// gone on: its state comes from the writer's memory, what follows from the ring, and the
// archive is still the one that stood still.
func TestStandbyComesBackToFullDisk(t *testing.T) {
	w := steady(t, streamed(t, setting{app: "gateway", extra: alone}, true))
	w.orders(200)
	w.drained()
	p := w.nodes[lab.NodeA].lanes[0]
	w.until("its keeper", func() bool { return w.snapshots(lab.NodeA).Position > 0 })
	archiver := p.archive
	p.archive = nil // a disk that takes nothing: nobody steps it
	w.kill(lab.NodeB)
	w.longer(3 << 19)
	w.until("a spare state", func() bool {
		w.orders(20)
		return w.snapshots(lab.NodeA).Spare > archiver.Archived()
	})
	first := w.snapshots(lab.NodeA).Spare
	w.until("a newer one", func() bool {
		w.orders(200)
		return w.snapshots(lab.NodeA).Spare > first
	})
	w.restart(lab.NodeB)
	w.untilState(lab.NodeB, lane.Standby)
	w.orders(50)
	w.sameState()
	// With room again there is a snapshot, and the spare state goes.
	p.archive = archiver
	w.until("a snapshot", func() bool {
		w.orders(20)
		s := w.snapshots(lab.NodeA)
		return s.Newest > p.archive.Status().Begin && s.Spare == 0
	})
	w.giveLane(lab.NodeA, lab.NodeB)
	w.orders(50)
	w.checkOnce()
}
