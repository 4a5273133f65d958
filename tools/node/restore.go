package node

import (
	"errors"
	"fmt"
	"time"

	"onebeat/engine"
	"onebeat/engine/app"
	"onebeat/mirror"
	"onebeat/mirror/ring"
	"onebeat/mirror/snapshot"
)

// errHistory means that a lane's state cannot be rebuilt from what this node has.
var errHistory = errors.New("history is missing")

// remedy says how to get a history that is missing.
const remedy = "copy the lane's archive (and snapshots) of the other node here and start again, or let this node begin anew with an empty ring (`onebeat node --cleanup`) and catch up from its peer"

// restoring reports whether the loop waits for a machine.
func (k *keeper) restoring() bool {
	_, wanted := k.lane.replica.History.Wanted()
	return wanted && k.told == ""
}

// restore rebuilds the machine that the loop lacks: from the newest good snapshot
// that the log has not gone below, else from the log's beginning; then the archive,
// up to where it and the ring end. What both hold must be the same.
func (k *keeper) restore(need *mirror.Need, nowNs int64) int {
	if nowNs < k.retryNs || k.adoption != nil {
		return 0
	}
	k.set(func(s *snapshot.Status) { s.State = "restoring" })
	began := time.Now()
	machine, place, from, err := k.rebuild(need)
	if err != nil {
		k.retryNs = nowNs + keeperRetryNs
		k.set(func(s *snapshot.Status) { s.State, s.LastError = "missing", err.Error(); s.Failures++ })
		if text := err.Error(); text != k.told {
			k.told = text
			k.log.Error("this node can neither serve nor stand by", "lane", k.lane.cfg.ID, "need", need.Why, "error", err, "remedy", remedy)
		}
		return 0
	}
	k.restored = snapshot.Restored{Snapshot: from, Position: place.Position, Records: place.Records, Seconds: time.Since(began).Seconds()}
	k.adoption = &engine.Adoption{Machine: machine, Place: place}
	if !k.lane.loop.Adopt(k.adoption) {
		k.adoption = nil // somebody else's is there first
	}
	return 0
}

// outcome looks what became of the machine that was given to the loop; true: it is
// not known yet.
func (k *keeper) outcome() bool {
	if k.adoption == nil {
		return false
	}
	err, done := k.adoption.Outcome()
	if !done {
		return true
	}
	k.adoption = nil
	if err != nil {
		k.log.Warn("the restored state was not taken", "lane", k.lane.cfg.ID, "error", err)
		return false
	}
	k.told = ""
	r := k.restored
	k.set(func(s *snapshot.Status) { s.State, s.LastError, s.Restored = "idle", "", &r })
	k.log.Info("state restored", "lane", k.lane.cfg.ID, "snapshot", r.Snapshot, "position", r.Position, "records", r.Records, "seconds", r.Seconds)
	return false
}

// rebuild makes a machine and its place.
func (k *keeper) rebuild(need *mirror.Need) (m app.Machine, place mirror.Place, from uint64, err error) {
	if k.archive == nil {
		return nil, place, 0, fmt.Errorf("%w: the ring holds the log from %d on, and there is no [archive]", errHistory, need.Oldest)
	}
	src := k.src
	src.New = k.restores
	if k.cfg != nil && k.store == nil {
		if src.Store, err = snapshot.Look(k.src.FS, k.dir); err != nil {
			src.Store = nil // there are none yet: the whole archive, then
		}
	}
	r, err := src.Start(need.Tail)
	if err != nil {
		return nil, place, 0, fmt.Errorf("%w: %w", errHistory, err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	common := ringLog{ring: k.lane.ring, oldest: need.Oldest}
	if r.From != nil {
		from = r.From.Header.Position
		common.last(&r.From.Header)
	}
	for more := true; more; {
		if _, more, err = r.Step(keeperBatch, need.Tail, common.same); err != nil {
			return nil, place, from, fmt.Errorf("%w: %w", errHistory, err)
		}
	}
	h := r.Place()
	switch {
	case h.Position < need.Oldest:
		return nil, place, from, fmt.Errorf("%w: the archive ends at %d, the ring begins at %d", errHistory, h.Position, need.Oldest)
	case common.records == 0 && need.Tail > need.Oldest: // an empty ring begins where the log that it goes on with ends
		return nil, place, from, fmt.Errorf("%w: archive and ring have no record in common around %d", errHistory, h.Position)
	}
	return r.Machine, mirror.Place{Position: h.Position, TimeNs: h.TimeNs, Epoch: h.Epoch, Records: h.Records, Record: h.Record}, from, nil
}

// ringLog compares an archive's records with those that the ring holds, too.
type ringLog struct {
	ring    *ring.Ring
	oldest  uint64
	records int // in common
	rec     app.Record
}

// same reports whether a record is the ring's, or older than what the ring holds.
func (c *ringLog) same(rec *app.Record) bool {
	if rec.Position < c.oldest {
		return true
	}
	_, state := c.ring.ReadInto(rec.Position, &c.rec)
	if state != ring.Found || snapshot.HashRecord(rec) != snapshot.HashRecord(&c.rec) {
		return false
	}
	c.records++
	return true
}

// last looks whether the last record of a snapshot is the ring's.
func (c *ringLog) last(h *snapshot.Header) {
	if h.Last < c.oldest {
		return
	}
	if _, state := c.ring.ReadInto(h.Last, &c.rec); state == ring.Found && snapshot.HashRecord(&c.rec) == h.LastHash {
		c.records++
	}
}
