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
	"onebeat/mirror/ringfile"
)

// Ring is a lane's ring as it stood when it was opened: its tail does not
// move; its memory may be overwritten by a living node. Package reader follows.
type Ring struct {
	unmap    func() error
	ring     *ring.Ring
	tail     uint64
	live     *ring.Ring // of the moving tail
	position uint64     // of Next
	Word     lane.Word
}

// OpenRing opens the ring of a lane under a node's pin directory.
func OpenRing(bpffs string, laneID int) (*Ring, error) {
	v, err := bpf.OpenView(bpffs, laneID)
	if err != nil {
		return nil, err
	}
	return newRing(lane.At(v.Lane), lane.WordAt(v.Authority), v.Ring, v.RingSize(), v.Close)
}

// OpenRingFile opens the ring in a lane's ring file.
func OpenRingFile(path string) (*Ring, error) {
	v, err := ringfile.View(path)
	if err != nil {
		return nil, err
	}
	return newRing(v.Table, v.Authority, v.Ring, v.RingSize(), v.Close)
}

func newRing(table *lane.Table, authority *uint64, mem []byte, sizeBytes int, unmap func() error) (*Ring, error) {
	r := &Ring{unmap: unmap, tail: atomic.LoadUint64(&table.Tail), Word: lane.Load(authority)}
	var err error
	if r.ring, err = ring.New(mem, sizeBytes, &r.tail); err != nil {
		return nil, errors.Join(err, unmap())
	}
	if r.live, err = ring.New(mem, sizeBytes, &table.Tail); err != nil {
		return nil, errors.Join(err, unmap())
	}
	r.position = r.ring.Oldest()
	return r, nil
}

// Position returns the position of the record that Next returns.
func (r *Ring) Position() uint64 { return r.position }

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

// Next implements Source. The record's payload is copied out of the ring before
// it is looked whether a living node has begun to write over it.
func (r *Ring) Next(rec *app.Record) (more bool, err error) {
	if r.position >= r.tail {
		return false, nil
	}
	found, next, state := r.ring.Read(r.position)
	if state == ring.AtTail {
		return false, nil
	}
	payload := append([]byte(nil), found.Payload...)
	if !r.live.Holds(r.position) && r.live.Tail() > r.tail { // overwritten meanwhile
		oldest := r.live.Oldest()
		return false, &archive.Gap{From: r.position, To: max(oldest, r.position+1)}
	}
	if state != ring.Found {
		return false, fmt.Errorf("%w at %d: %v", ring.ErrRecord, r.position, state)
	}
	found.Payload = payload
	*rec, r.position = found, next
	return true, nil
}

// Close ends the look.
func (r *Ring) Close() error { return r.unmap() }

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
