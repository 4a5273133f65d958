package ring

import (
	"fmt"

	"onebeat/engine/app"
)

// Summary is what Scan saw.
type Summary struct {
	From, End             uint64 // positions: first looked at, behind the last good record
	Records, Padding      uint64 // counts
	FirstEpoch, LastEpoch uint32
	FirstNs, LastNs       int64 // lane time
}

// Scan reads every record from one position to another, checks checksums,
// continuity, epochs and time that never fall, and calls visit (if not nil)
// for each record, padding too; visit ends the scan by returning false.
func (r *Ring) Scan(from, to uint64, visit func(*app.Record) bool) (Summary, error) {
	s := Summary{From: from, End: from}
	for s.End < to {
		var rec app.Record
		end, state := r.read(s.End, &rec)
		switch {
		case state == AtTail:
			return s, nil
		case state != Found:
			return s, fmt.Errorf("%w at %d: %s", ErrRecord, s.End, state)
		case rec.Epoch < s.LastEpoch:
			return s, fmt.Errorf("%w at %d: epoch %d after %d", ErrRecord, s.End, rec.Epoch, s.LastEpoch)
		case s.Records+s.Padding > 0 && rec.TimeNs < s.LastNs:
			return s, fmt.Errorf("%w at %d: lane time %d after %d", ErrRecord, s.End, rec.TimeNs, s.LastNs)
		}
		if s.Records+s.Padding == 0 {
			s.FirstEpoch, s.FirstNs = rec.Epoch, rec.TimeNs
		}
		s.LastEpoch, s.LastNs = rec.Epoch, rec.TimeNs
		if rec.Type == app.RecordPadding {
			s.Padding++
		} else {
			s.Records++
		}
		s.End = end
		if visit != nil && !visit(&rec) {
			return s, nil
		}
	}
	return s, nil
}

// Oldest returns the position of the oldest whole record the ring holds, the
// tail if there is none. Record boundaries behind the tail are found by their
// headers: position and checksum must both fit.
func (r *Ring) Oldest() uint64 {
	tail := r.Tail()
	from := r.start
	if tail > r.size {
		from = max(from, tail-r.size)
	}
	var rec app.Record
	for p := from; p < tail; p += AlignBytes {
		i := p & r.mask
		if _, state := decode(r.mem[i:i+min(tail-p, r.size-i)], p, &rec); state == Found {
			return p
		}
	}
	return tail
}

// Last returns the newest record that is no padding, false for an empty log or
// a harmed one. It reads the whole ring: for starting up, not for the loop.
func (r *Ring) Last() (last app.Record, ok bool) {
	tail := r.Tail()
	s, err := r.Scan(r.Oldest(), tail, func(rec *app.Record) bool {
		if rec.Type != app.RecordPadding {
			last, ok = *rec, true
		}
		return true
	})
	if err != nil || s.End != tail {
		return app.Record{}, false
	}
	return last, ok
}
