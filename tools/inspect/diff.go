package inspect

import (
	"bytes"
	"errors"

	"onebeat/engine/app"
	"onebeat/mirror/archive"
)

// Difference is where two logs stop being the same.
type Difference struct {
	// From is where the comparison began: the first position that both have.
	From    uint64 `json:"from"`
	Last    uint64 `json:"last_same"` // the last record that is the same
	Records uint64 `json:"records"`
	Same    bool   `json:"same"`
	// A and B are the first records that differ; nil: that log has ended, or
	// lacks it.
	A      *Line  `json:"a,omitempty"`
	B      *Line  `json:"b,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Longer: one log only goes on where the other ends.
	Longer string `json:"longer,omitempty"` // "a" or "b"
}

// Diff compares two logs from the first position that both have, and stops at the
// first record that differs. progress, if not nil, is told positions.
func Diff(a, b Source, progress func(position uint64)) (*Difference, error) {
	d := &Difference{From: max(a.Begin(), b.Begin())}
	if err := errors.Join(seekRecord(a, d.From), seekRecord(b, d.From)); err != nil {
		return nil, err
	}
	d.Last = d.From
	for {
		var x, y app.Record
		moreX, errX := a.Next(&x)
		moreY, errY := b.Next(&y)
		if err := d.gaps(errX, errY); err != nil || d.Reason != "" {
			return d, err
		}
		switch {
		case !moreX && !moreY:
			d.Same = true
			return d, nil
		case !moreX || !moreY:
			d.Same, d.Longer = true, "a"
			if moreY {
				d.Longer = "b"
			}
			return d, nil
		case x.Position != y.Position || x.TimeNs != y.TimeNs || x.Epoch != y.Epoch || x.Type != y.Type || !bytes.Equal(x.Payload, y.Payload):
			lx, ly := LineOf(&x), LineOf(&y)
			d.A, d.B, d.Reason = &lx, &ly, "the records differ"
			return d, nil
		}
		if d.Records++; d.Records%65536 == 0 && progress != nil {
			progress(x.Position)
		}
		d.Last = x.Position
	}
}

// gaps: a log that lacks records where the other has them differs there.
func (d *Difference) gaps(x, y error) error {
	var g *archive.Gap
	for _, err := range []error{x, y} {
		if err != nil && !errors.As(err, &g) {
			return err
		}
	}
	if g != nil {
		d.Reason = g.Error()
	}
	return nil
}

// seekRecord goes to a position that may lie in the middle of a segment.
func seekRecord(s Source, position uint64) error {
	at := s.Begin()
	for _, start := range s.Starts() {
		if start <= position {
			at = start
		}
	}
	if err := s.Seek(at); err != nil || at == position {
		return err
	}
	return s.Seek(position)
}
