package inspect

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"onebeat/bpf"
	"onebeat/engine/app"
	"onebeat/engine/fixp"
	"onebeat/engine/sbe"
	"onebeat/mirror/lane"
	"onebeat/mirror/ring"
)

// Ring is a lane's ring as it stood when it was opened: its tail does not
// move, its memory may be overwritten by a living node.
type Ring struct {
	view *bpf.View
	ring *ring.Ring
	tail uint64
	Word lane.Word
}

// OpenRing opens the ring of a lane under a node's pin directory.
func OpenRing(bpffs string, laneID int) (*Ring, error) {
	v, err := bpf.OpenView(bpffs, laneID)
	if err != nil {
		return nil, err
	}
	r := &Ring{view: v, tail: atomic.LoadUint64(&lane.At(v.Lane).Tail), Word: lane.Load(lane.WordAt(v.Authority))}
	if r.ring, err = ring.New(v.Ring, v.RingSize(), &r.tail); err != nil {
		return nil, errors.Join(err, v.Close())
	}
	return r, nil
}

// Close ends the look.
func (r *Ring) Close() error { return r.view.Close() }

// Line is one record for people and programs.
type Line struct {
	Position uint64 `json:"position"`
	Epoch    uint32 `json:"epoch"`
	TimeNs   int64  `json:"time_ns"`
	Type     string `json:"type"`
	Bytes    int    `json:"bytes"` // of the payload
	Session  uint32 `json:"session,omitempty"`
	SeqNo    uint64 `json:"seq_no,omitempty"`
	Message  string `json:"message,omitempty"`
	ClOrdID  uint64 `json:"clordid,omitempty"`
}

func lineOf(rec *app.Record) Line {
	l := Line{Position: rec.Position, Epoch: rec.Epoch, TimeNs: rec.TimeNs, Type: rec.Type.String(), Bytes: len(rec.Payload)}
	if rec.Type != app.RecordMessage && rec.Type != app.RecordVenue {
		return l
	}
	session, seqNo, template, block, ok := fixp.ParseMessage(rec.Payload)
	if !ok {
		return l
	}
	l.Session, l.SeqNo, l.Message = session, seqNo, sbe.TemplateName(template)
	switch template {
	case sbe.TemplateNewOrderSingle:
		l.ClOrdID = sbe.AsNewOrderSingle(block).ClOrdID()
	case sbe.TemplateOrderCancelRequest:
		l.ClOrdID = sbe.AsOrderCancelRequest(block).ClOrdID()
	case sbe.TemplateOrderCancelReplaceRequest:
		l.ClOrdID = sbe.AsOrderCancelReplaceRequest(block).ClOrdID()
	case sbe.TemplateExecutionReport:
		l.ClOrdID = sbe.AsExecutionReport(block).ClOrdID()
	}
	return l
}

// Tail writes the newest count records, oldest first; count 0: all held.
func (r *Ring) Tail(w io.Writer, count int, asJSON bool) error {
	from := r.ring.Oldest()
	if count > 0 {
		// A first pass finds where the last count records begin.
		begins, seen := make([]uint64, count), 0
		_, err := r.ring.Scan(from, r.tail, func(rec *app.Record) bool {
			begins[seen%count] = rec.Position
			seen++
			return true
		})
		if err != nil {
			return err
		}
		if seen >= count {
			from = begins[seen%count]
		}
	}
	out := json.NewEncoder(w)
	var failed error
	_, err := r.ring.Scan(from, r.tail, func(rec *app.Record) bool {
		l := lineOf(rec)
		if asJSON {
			failed = out.Encode(l)
		} else {
			_, failed = fmt.Fprintf(w, "%12d  epoch %-4d %18d ns  %-8s %4d bytes  %s", l.Position, l.Epoch, l.TimeNs, l.Type, l.Bytes, l.about())
		}
		return failed == nil
	})
	return errors.Join(err, failed)
}

func (l *Line) about() string {
	if l.Message == "" {
		return "\n"
	}
	return fmt.Sprintf("session %d seq %d %s ClOrdID %d\n", l.Session, l.SeqNo, l.Message, l.ClOrdID)
}

// Verified is what Verify found.
type Verified struct {
	Authority string `json:"authority"`
	Tail      uint64 `json:"tail"`
	SizeBytes int    `json:"size_bytes"`
	ring.Summary
}

// Verify reads every record the ring holds: checksums, positions, order of
// epochs and lane time.
func (r *Ring) Verify() (Verified, error) {
	s, err := r.ring.Scan(r.ring.Oldest(), r.tail, nil)
	v := Verified{Authority: r.Word.String(), Tail: r.tail, SizeBytes: r.ring.SizeBytes(), Summary: s}
	if err == nil && s.End != r.tail {
		err = fmt.Errorf("records end at %d, before the tail %d", s.End, r.tail)
	}
	return v, err
}
