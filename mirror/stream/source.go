package stream

import (
	"errors"
	"fmt"

	"onebeat/engine/app"
	"onebeat/mirror/archive"
	"onebeat/mirror/ring"
)

// cursor reads a lane's log from a position on, for one client: from the ring
// while that holds the position, else from the archive. The records it returns
// are whole, their checksums right.
type cursor struct {
	lane     *Lane
	position uint64
	// last is the header of the record before position, as the client has it.
	last   RecordHead
	epoch  uint32 // of it, or of the client's snapshot
	buffer []byte // ChunkBytes
	reader *archive.Reader
}

// inRing reports whether the ring will hold the position while a chunk is copied:
// what is about to be overwritten comes from the archive.
func (c *cursor) inRing() bool {
	r := c.lane.Ring
	if r == nil {
		return false
	}
	tail, size := r.Tail(), uint64(r.SizeBytes())
	return c.position <= tail && tail-c.position <= size-size/8 && r.Holds(c.position)
}

// end returns the end of what may be given away. ok is false while this node
// cannot vouch for its log.
func (c *cursor) end(req *LogRequest) (end uint64, ok bool) {
	l := c.lane
	if l.Look == nil {
		return ^uint64(0), true // what the archive has
	}
	v := l.Look()
	if req.Salvage {
		return min(req.To, l.Ring.Tail()), salvageable(v)
	}
	return v.Safe, serves(v)
}

// next returns the records from the position on, at most up to end, and moves
// behind them; none while there are none. An error is a *Cut, a *Refused, or the
// filesystem's.
func (c *cursor) next(end uint64) ([]byte, error) {
	if c.position >= end {
		return nil, c.still(end)
	}
	n, harmed, err := c.raw(end)
	if err != nil {
		return nil, c.missing(err)
	}
	switch {
	case n == 0 && harmed:
		if err := c.agree(); err != nil {
			return nil, err
		}
		return nil, refuse(ReasonDamage, "the ring holds no record at %d", c.position)
	case n == 0:
		return nil, c.still(end)
	}
	b := c.buffer[:n]
	if first := (*RecordHead)(b); first.Epoch() != c.epoch {
		// Within an epoch a log only grows. Where another begins, what the client
		// has may have been cut off before it.
		if err := c.agree(); err != nil {
			return nil, err
		}
	}
	if err := c.take(b); err != nil {
		return nil, err
	}
	return b, nil
}

// raw copies records from the position on into the buffer, from the ring or the
// archive. harmed: what lies in the ring there is no record, and no archive has one.
func (c *cursor) raw(end uint64) (n int, harmed bool, err error) {
	if c.inRing() {
		n, harmed = c.fromRing(end)
	}
	if n == 0 {
		n, err = c.fromArchive(end)
	}
	return n, harmed, err
}

// still looks, when nothing can be read, whether the log still goes on where the
// client's ends.
func (c *cursor) still(end uint64) error {
	if r := c.lane.Ring; r == nil || r.Tail() >= c.position && end >= c.position {
		return nil
	}
	return c.agree()
}

// take moves behind checked records.
func (c *cursor) take(b []byte) error {
	for n := 0; n < len(b); {
		var rec app.Record
		end, state := ring.Decode(b[n:], c.position, &rec)
		if state != ring.Found || rec.Epoch < c.epoch {
			return refuse(ReasonDamage, "record at %d: %v, epoch %d after %d", c.position, state, rec.Epoch, c.epoch)
		}
		copy(c.last[:], b[n:])
		c.epoch = rec.Epoch
		n += int(end - c.position)
		c.position = end
	}
	return nil
}

// fromRing copies records out of the ring; none when a writer was faster. harmed:
// what lies there is no record, or no record's start any more.
func (c *cursor) fromRing(end uint64) (n int, harmed bool) {
	r := c.lane.Ring
	cuts := r.Cuts()
	view, _ := r.Batch(c.position, int(min(end-c.position, ChunkBytes)))
	n = copy(c.buffer, view)
	if cuts%2 != 0 || r.Cuts() != cuts || !r.Holds(c.position) {
		return 0, false
	}
	var rec app.Record
	for at := 0; at < n; {
		next, state := ring.Decode(c.buffer[at:n], c.position+uint64(at), &rec)
		if state != ring.Found {
			return at, at == 0
		}
		at = int(next - c.position)
	}
	return n, n == 0
}

// fromArchive copies records out of the archive.
func (c *cursor) fromArchive(end uint64) (int, error) {
	if c.lane.Archive == "" {
		return 0, c.gone()
	}
	if c.reader == nil {
		r, err := archive.OpenReader(c.lane.files(), c.lane.Archive)
		if errors.Is(err, archive.ErrEmpty) {
			return 0, c.gone()
		} else if err != nil {
			return 0, err
		}
		c.reader = r
	}
	if c.reader.Position() != c.position {
		if err := c.reader.Seek(c.position); err != nil {
			return 0, err
		}
	}
	b, _, err := c.reader.Raw(int(min(end-c.position, ChunkBytes)))
	if err != nil {
		return 0, err
	}
	return copy(c.buffer, b), nil
}

// gone says, of a position that the ring does not hold and no archive has, that
// it is lost; a ring that does hold it only has to be looked at again.
func (c *cursor) gone() error {
	if r := c.lane.Ring; r != nil && r.Holds(c.position) {
		return nil
	}
	return refuse(ReasonHistory, "position %d is no longer in the ring, nor in an archive: start from a snapshot", c.position)
}

// missing makes a refusal of what the archive lacks.
func (c *cursor) missing(err error) error {
	var gap *archive.Gap
	var refused *Refused
	switch {
	case errors.As(err, &refused):
		return err
	case errors.As(err, &gap):
		return refuse(ReasonHistory, "position %d: %v: start from a snapshot", c.position, gap)
	case errors.Is(err, archive.ErrDamaged):
		if agreed := c.agree(); agreed != nil {
			return agreed // no damage: the client's log ends in the middle of another record
		}
		return refuse(ReasonDamage, "%v", err)
	}
	return fmt.Errorf("archive: %w", err)
}

func (c *cursor) close() error {
	if c.reader == nil {
		return nil
	}
	return c.reader.Close()
}
