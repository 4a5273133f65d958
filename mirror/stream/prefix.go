package stream

import (
	"errors"

	"onebeat/engine/app"
	"onebeat/mirror/archive"
	"onebeat/mirror/lane"
	"onebeat/mirror/ring"
)

// serves reports whether a node can vouch for the log up to what it calls safe.
// One that is SYNCING may hold what the lane went on without.
func serves(v View) bool {
	switch v.Word.State() {
	case lane.Active, lane.Standby, lane.Candidate, lane.Fenced:
		return true
	}
	return false
}

// salvageable reports whether the engine that wrote the log can add nothing more
// to it.
func salvageable(v View) bool { return v.Word.State() != lane.Active }

// agree looks whether the client's last record is in this log: then its log is a
// beginning of this one. Otherwise the error is a Cut to where the first epoch
// begins that the client lacks, or a refusal: who is told that this log is behind
// its own asks for the first difference (Client.Differ).
func (c *cursor) agree() error {
	if c.last.known() {
		same, found, err := c.compare()
		if err != nil || same {
			return err
		}
		if !found && c.position <= c.oldest() {
			return c.gone() // who knows
		}
	} else if c.position == 0 {
		return nil
	}
	at, found, err := c.firstAfter(c.epoch)
	switch {
	case err != nil:
		return err
	case found && at < c.position:
		return &Cut{at}
	case !c.last.known():
		return nil // a snapshot of an epoch that was not cut
	}
	return refuse(ReasonBehind, "the client's log has epoch %d at %d, this one has not", c.epoch, c.position)
}

// compare looks for the client's last record in this log.
func (c *cursor) compare() (same, found bool, err error) {
	at := c.last.Position()
	if r := c.lane.Ring; r != nil && r.Holds(at) && at < r.Tail() {
		var head RecordHead
		n := copy(head[:], r.Bytes(at, at+ring.HeaderBytes))
		// A ring begun anew behind a state has zeros before that place: the archive knows.
		if n == len(head) && r.Holds(at) && head.known() {
			return head == c.last, true, nil
		}
	}
	if c.lane.Archive == "" {
		return false, false, nil
	}
	r, err := archive.OpenReader(c.lane.files(), c.lane.Archive)
	if err != nil {
		return false, false, ignore(err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if at < r.Begin() {
		return false, false, nil
	}
	if err := r.Seek(at); err != nil {
		return false, false, ignore(err)
	}
	b, _, err := r.Raw(ring.MaxRecordBytes)
	if err != nil || len(b) < ring.HeaderBytes {
		return false, err == nil, ignore(err)
	}
	return RecordHead(b[:ring.HeaderBytes]) == c.last, true, nil
}

// ignore makes nothing of an archive that is not there, or has no record at a
// place that may be none.
func ignore(err error) error {
	var gap *archive.Gap
	if errors.Is(err, archive.ErrEmpty) || errors.Is(err, archive.ErrDamaged) || errors.As(err, &gap) {
		return nil
	}
	return err
}

// oldest returns the first position that this host has.
func (c *cursor) oldest() uint64 {
	oldest := ^uint64(0)
	if c.lane.Ring != nil {
		oldest = c.lane.Ring.Oldest()
	}
	if c.lane.Archive != "" {
		if r, err := archive.OpenReader(c.lane.files(), c.lane.Archive); err == nil {
			oldest = min(oldest, r.Begin())
			_ = r.Close() // only read
		}
	}
	return oldest
}

// firstAfter finds the first record of a later epoch than the given one.
func (c *cursor) firstAfter(epoch uint32) (position uint64, found bool, err error) {
	if position, known, found := c.firstInRing(epoch); known {
		return position, found, nil
	}
	if c.lane.Archive == "" {
		return 0, false, c.gone()
	}
	r, err := archive.OpenReader(c.lane.files(), c.lane.Archive)
	if errors.Is(err, archive.ErrEmpty) {
		return 0, false, c.gone()
	} else if err != nil {
		return 0, false, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	list := r.Segments()
	at := len(list) - 1
	for at > 0 && list[at].Header.FirstEpoch > epoch {
		at--
	}
	if list[at].Header.FirstEpoch > epoch && list[at].Header.First > 0 {
		return 0, false, refuse(ReasonHistory, "where epoch %d ended is no longer here: start from a snapshot", epoch)
	}
	if err := r.Seek(list[at].Header.First); err != nil {
		return 0, false, err
	}
	var rec app.Record
	for {
		more, err := r.Next(&rec)
		if err != nil {
			return 0, false, c.missing(err)
		}
		if !more {
			return 0, false, nil
		}
		if rec.Epoch > epoch {
			return rec.Position, true, nil
		}
	}
}

// firstInRing is firstAfter where the ring alone knows: it still holds a record
// of that epoch or an earlier one, or the log's beginning.
func (c *cursor) firstInRing(epoch uint32) (position uint64, known, found bool) {
	r := c.lane.Ring
	if r == nil {
		return 0, false, false
	}
	oldest := r.Oldest()
	known = oldest == 0
	_, err := r.Scan(oldest, r.Tail(), func(rec *app.Record) bool {
		if rec.Epoch > epoch {
			position, found = rec.Position, true
			return false
		}
		known = true
		return true
	})
	if err != nil {
		return 0, false, false // overtaken, or harmed: the archive knows
	}
	return position, known, found
}
