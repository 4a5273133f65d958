package node

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"time"

	"onebeat/engine"
	"onebeat/engine/app"
	"onebeat/mirror/disk"
	"onebeat/mirror/ring"
	"onebeat/mirror/snapshot"
)

// Diverged is what is written about a quarantined node: its own state, a, against
// the state that the log makes of a fresh machine of the same program and
// configuration, b.
type Diverged struct {
	Node     string `json:"node"`
	Lane     int    `json:"lane"`
	App      string `json:"app"`
	Version  string `json:"version"`
	Written  string `json:"written"` // RFC 3339
	Record   uint64 `json:"record"`  // position of the record with the digest
	Position uint64 `json:"position"`
	Epoch    uint32 `json:"epoch"`
	TimeNs   int64  `json:"time_ns"` // lane time

	LogDigest    string `json:"log_digest"` // the writer's
	OwnDigest    string `json:"own_digest"` // of a
	ReplayDigest string `json:"replay_digest,omitempty"`
	// ReplayedFrom is the position of the snapshot that b was made of, 0: the log's
	// beginning.
	ReplayedFrom uint64 `json:"replayed_from"`
	Verdict      string `json:"verdict"`
	// Sections are those that differ; none where there is no b: Verdict says why.
	Sections []app.SectionDiff `json:"sections"`
}

// divergedRows bounds the rows of a section that are written.
const divergedRows = 100

// Bounds of the wait for the archive to reach the record: then it is written without.
const (
	explainRetryNs = 200_000_000
	explainTries   = 50
)

// divergedPath returns where a lane's divergence is written.
func (n *Node) divergedPath(laneID int, position uint64) string {
	return filepath.Join(n.cfg.Node.RunDir, fmt.Sprintf("%s-lane%d-diverged-%d.json", n.cfg.Node.Name, laneID, position))
}

// explain writes once how a quarantined node's state differs from the log's.
func (k *keeper) explain(d *engine.Divergence, nowNs int64) {
	if k.explained || nowNs < k.retryNs {
		return
	}
	right, from, err := k.replayTo(d)
	if err != nil && k.explainTries < explainTries {
		k.explainTries++
		k.retryNs = nowNs + explainRetryNs // the archive may not be there yet
		return
	}
	k.explained = true
	report := reportOf(d, right, from, err)
	report.Node, report.Lane, report.App, report.Version = k.node, k.lane.cfg.ID, k.lane.cfg.App, Version
	report.Written = time.Unix(0, k.wallNs()).UTC().Format(time.RFC3339Nano)
	path := k.divergedPath(d.Position)
	text, err := json.MarshalIndent(report, "", " ")
	if err == nil {
		err = disk.WriteFile(k.src.FS, filepath.Dir(path), path, append(text, '\n'))
	}
	if err != nil {
		k.log.Error("the divergence is not written down", "lane", k.lane.cfg.ID, "error", err)
		return
	}
	k.set(func(s *snapshot.Status) { s.State, s.LastError = "quarantined", path })
	k.log.Error("quarantined: this node's state is not the log's", "lane", k.lane.cfg.ID, "file", path, "verdict", report.Verdict)
	k.tell("quarantined: " + path)
}

// replayTo makes a fresh machine and applies the log up to where the other one was
// found out: of snapshot and archive, or of a ring that holds the beginning.
func (k *keeper) replayTo(d *engine.Divergence) (m app.Machine, from uint64, err error) {
	if k.archive != nil {
		if m, from, ok := k.replayArchive(d); ok {
			return m, from, nil
		}
	}
	r := k.lane.ring
	if oldest := r.Oldest(); oldest != 0 {
		return nil, 0, fmt.Errorf("no archive with the log's beginning, or a good snapshot, reaches to %d, and the ring begins at %d", d.Position, oldest)
	}
	m, err = k.src.New()
	return m, 0, replayRing(m, r, d.Position, err)
}

func (k *keeper) replayArchive(d *engine.Divergence) (m app.Machine, from uint64, ok bool) {
	r, err := k.src.Start(d.Record)
	if err != nil {
		return nil, 0, false
	}
	defer r.Close() // only read
	if r.From != nil {
		from = r.From.Header.Position
	}
	for more := true; more && err == nil; {
		_, more, err = r.Step(keeperBatch, d.Position, nil)
	}
	// Also behind an error: it may be that very digest that this state, too, finds
	// wrong; then it is the writer's state that is the odd one.
	return r.Machine, from, r.Position() == d.Position
}

func replayRing(m app.Machine, r *ring.Ring, to uint64, err error) error {
	if err != nil {
		return err
	}
	out := app.NewOutbox(app.Endpoint{}, 0)
	out.Muted = true
	var rec app.Record
	for position := uint64(0); position < to; {
		next, state := r.ReadInto(position, &rec)
		if state != ring.Found {
			return fmt.Errorf("the ring at %d: %v", position, state)
		}
		m.Apply(&rec, out)
		position = next
	}
	return nil
}

// reportOf compares the two states.
func reportOf(d *engine.Divergence, right app.Machine, from uint64, err error) *Diverged {
	own := d.Machine.Digest()
	r := &Diverged{Record: d.Record, Position: d.Position, Epoch: d.Epoch, TimeNs: d.TimeNs, ReplayedFrom: from,
		LogDigest: fmt.Sprintf("%016x", d.LogDigest), OwnDigest: fmt.Sprintf("%016x", own)}
	if err != nil {
		r.Verdict = fmt.Sprintf("this node's state is not the writer's; the right one could not be made here: %v", err)
		return r
	}
	replayed := right.Digest()
	r.ReplayDigest = fmt.Sprintf("%016x", replayed)
	r.Sections = app.DiffStates(d.Machine, right, divergedRows)
	switch replayed {
	case d.LogDigest:
		r.Verdict = "a replay of the log agrees with the writer: this node's state was wrong"
	case own:
		r.Verdict = "a replay of the log agrees with this node: the WRITER's state is the odd one, or it runs another program or configuration"
	default:
		r.Verdict = "a replay of the log agrees with neither: what is applied is not deterministic, or the nodes' programs or configurations differ"
	}
	return r
}
