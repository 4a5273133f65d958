package inspect

import (
	"errors"
	"fmt"
	"sync/atomic"

	"onebeat/bpf"
	"onebeat/engine/app"
	"onebeat/mirror/archive"
	"onebeat/mirror/lane"
	"onebeat/mirror/ring"
)

// Ring is a lane's ring as it stood when it was opened: its tail does not
// move, unless it is followed; its memory may be overwritten by a living node.
type Ring struct {
	view     *bpf.View
	ring     *ring.Ring
	tail     uint64
	live     *ring.Ring // of the moving tail
	follow   bool
	position uint64 // of Next
	Word     lane.Word
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
	if r.live, err = ring.New(v.Ring, v.RingSize(), &lane.At(v.Lane).Tail); err != nil {
		return nil, errors.Join(err, v.Close())
	}
	r.position = r.ring.Oldest()
	return r, nil
}

// Follow makes Next read what is appended from now on, too.
func (r *Ring) Follow() { r.follow = true }

// Begin implements Source.
func (r *Ring) Begin() uint64 { return r.ring.Oldest() }

// Starts implements Source: a ring has no index.
func (r *Ring) Starts() []uint64 { return []uint64{r.ring.Oldest()} }

// Seek implements Source.
func (r *Ring) Seek(position uint64) error {
	if oldest := r.live.Oldest(); position < oldest {
		return &archive.Gap{From: position, To: oldest}
	}
	r.position = position
	return nil
}

// SeekTime implements Source.
func (r *Ring) SeekTime(int64) error { return r.Seek(r.live.Oldest()) }

// Next implements Source. The record's payload is the ring's memory: a copy is
// checked again, so that a living node cannot change what is printed.
func (r *Ring) Next(rec *app.Record) (more bool, err error) {
	from := r.ring
	if r.follow {
		from = r.live
	}
	found, next, state := from.Read(r.position)
	if state == ring.AtTail {
		return false, nil
	}
	if state == ring.Overwritten || !r.live.Holds(r.position) && r.follow {
		oldest := r.live.Oldest()
		return false, &archive.Gap{From: r.position, To: max(oldest, r.position+1)}
	}
	if state != ring.Found {
		return false, fmt.Errorf("%w at %d: %v", ring.ErrRecord, r.position, state)
	}
	found.Payload = append([]byte(nil), found.Payload...)
	*rec, r.position = found, next
	return true, nil
}

// Close ends the look.
func (r *Ring) Close() error { return r.view.Close() }

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
