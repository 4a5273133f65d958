package inspect

import (
	"errors"

	"onebeat/engine/app"
	"onebeat/mirror/archive"
)

// Stream gives a log's records in order.
type Stream interface {
	Seek(position uint64) error
	// Next returns the next record; more is false where the log ends for now. An
	// *archive.Gap says where records are missing: Seek goes behind it.
	Next(rec *app.Record) (more bool, err error)
}

// Source is a log as it is now: a ring, or an archive.
type Source interface {
	Stream
	Begin() uint64
	// Starts returns positions that records can be read from, rising.
	Starts() []uint64
	// SeekTime goes to a lane time, or to somewhere before it.
	SeekTime(timeNs int64) error
	Close() error
}

// start goes to the first record a filter may want.
func start(s Source, f *Filter) error {
	if f.SinceNs != 0 {
		if err := s.SeekTime(f.SinceNs); err != nil {
			return err
		}
	}
	if f.From > s.Begin() {
		for _, at := range s.Starts() {
			if at <= f.From {
				if err := s.Seek(at); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Each calls visit for every wanted record, up to where the log ends for now. A
// gap is told and passed.
func Each(s Stream, f *Filter, gap func(*archive.Gap), visit func(*app.Record) error) error {
	for {
		var rec app.Record
		more, err := s.Next(&rec)
		var g *archive.Gap
		switch {
		case errors.As(err, &g):
			gap(g)
			if err := s.Seek(g.To); err != nil {
				return err
			}
			continue
		case err != nil:
			return err
		case !more || f.Past(&rec):
			return nil
		}
		if f.Match(&rec) {
			if err := visit(&rec); err != nil {
				return err
			}
		}
	}
}

// Dump calls visit for every wanted record of a log.
func Dump(s Source, f *Filter, gap func(*archive.Gap), visit func(*app.Record) error) error {
	if err := start(s, f); err != nil {
		return err
	}
	return Each(s, f, gap, visit)
}

// Newest calls visit for the newest wanted records, oldest first; count 0: all.
func Newest(s Source, f *Filter, count int, gap func(*archive.Gap), visit func(*app.Record) error) error {
	if count <= 0 {
		return Dump(s, f, gap, visit)
	}
	starts := s.Starts()
	for back := 1; ; back *= 4 {
		at := max(len(starts)-back, 0)
		if err := s.Seek(starts[at]); err != nil {
			return err
		}
		kept, seen := make([]app.Record, count), 0
		if err := Each(s, f, func(*archive.Gap) {}, func(rec *app.Record) error {
			k := &kept[seen%count]
			payload := append(k.Payload[:0], rec.Payload...)
			*k = *rec
			k.Payload = payload
			seen++
			return nil
		}); err != nil {
			return err
		}
		if seen < count && at > 0 {
			continue
		}
		for i := max(seen-count, 0); i < seen; i++ {
			if err := visit(&kept[i%count]); err != nil {
				return err
			}
		}
		return nil
	}
}
