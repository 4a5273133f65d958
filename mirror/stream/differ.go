package stream

import (
	"errors"
	"fmt"

	"github.com/zeebo/blake3"

	"onebeat/engine/app"
	"onebeat/mirror/archive"
	"onebeat/mirror/ring"
)

// Difference is where a client's log and a server's part.
type Difference struct {
	// Position is the beginning of the first record of the client's that the
	// server's log does not have.
	Position uint64
	// Epoch is the server's node's.
	Epoch uint32
	// Behind: the server's log only ends there, as far as it may give it away.
	Behind bool
}

// ErrNothingCommon means that the first difference lies before all that the client
// has of its log, or the server of its own.
var ErrNothingCommon = errors.New("stream: the logs have nothing in common that both still hold")

// Differ finds the first record of this host's log, up to end, that the server's
// does not have. It goes back to the newest segment, or the ring's oldest record,
// that begins alike, and from there compares digests of the records, in parts that
// become smaller where they differ. Nothing is found (nil) when all of it is the
// same.
func (c *Client) Differ(own *Lane, end uint64) (d *Difference, err error) {
	s := search{client: c, end: end, cursor: cursor{lane: own, buffer: make([]byte, ChunkBytes)}}
	defer func() { err = errors.Join(err, s.cursor.close()) }()
	from, err := s.common()
	if err != nil || s.found != nil {
		return s.found, err
	}
	return s.walk(from)
}

// search is one Differ.
type search struct {
	client *Client
	cursor cursor // of this host's own log
	end    uint64
	epoch  uint32 // of the server's node, as it said last
	found  *Difference
	ends   []uint64 // of records in the buffer
}

// starts returns places of this host's log where a record begins, falling.
func (s *search) starts() ([]uint64, error) {
	var rising []uint64
	l := s.cursor.lane
	if l.Archive != "" {
		r, err := archive.OpenReader(l.files(), l.Archive)
		if err == nil {
			rising = r.Starts()
			err = r.Close()
		}
		if err != nil && !errors.Is(err, archive.ErrEmpty) {
			return nil, err
		}
	}
	if l.Ring != nil {
		rising = append(rising, l.Ring.Oldest())
	}
	var list []uint64
	for i := len(rising) - 1; i >= 0; i-- {
		if rising[i] < s.end {
			list = append(list, rising[i])
		}
	}
	return list, nil
}

// common returns the newest of them whose first record the server has, too. A log
// that is another one from its very beginning on is found by that.
func (s *search) common() (from uint64, err error) {
	starts, err := s.starts()
	if err != nil {
		return 0, err
	}
	for _, at := range starts {
		n, ends, err := s.read(at, ring.MaxRecordBytes)
		if err != nil {
			return 0, err
		}
		if n == 0 {
			continue // overtaken
		}
		same, what, err := s.ask(&comparison{at, []part{{ends[0], digest(s.cursor.buffer[:ends[0]-at])}}})
		switch {
		case err != nil:
			return 0, err
		case same > at:
			return at, nil
		case what == sameDiffer && at == 0:
			s.found = &Difference{Epoch: s.epoch}
			return 0, nil
		}
	}
	return 0, ErrNothingCommon
}

// read copies this host's records from a position on into the buffer, and returns
// how many bytes, and where each record ends.
func (s *search) read(from uint64, maxBytes int) (n int, ends []uint64, err error) {
	s.cursor.position = from
	n, _, err = s.cursor.raw(min(s.end, from+uint64(maxBytes)))
	var gap *archive.Gap
	if err != nil && !errors.As(err, &gap) && !errors.Is(err, ErrHistory) {
		return 0, nil, err
	}
	s.ends = s.ends[:0]
	for at := from; at < from+uint64(n); {
		var rec app.Record
		end, state := ring.Decode(s.cursor.buffer[at-from:n], at, &rec)
		if state != ring.Found {
			return 0, nil, fmt.Errorf("%w at %d: %v", ring.ErrRecord, at, state)
		}
		s.ends = append(s.ends, end)
		at = end
	}
	return n, s.ends, nil
}

// walk goes on from a place up to which both logs are the same.
func (s *search) walk(from uint64) (*Difference, error) {
	within := uint64(compareBytes)
	for from < s.end {
		asked, err := s.parts(from, within)
		if err != nil {
			return nil, err
		}
		same, what, err := s.ask(asked)
		if err != nil {
			return nil, err
		}
		if what == sameAll {
			from, within = same, compareBytes
			continue
		}
		if what == sameNone {
			return nil, fmt.Errorf("stream: the server's log has no record at %d, where both were the same", from)
		}
		next := asked.parts[asked.after(same)].to
		if single, err := s.single(same, next); err != nil {
			return nil, err
		} else if single {
			return &Difference{Position: same, Epoch: s.epoch, Behind: what == sameEnds}, nil
		}
		if same == from && next-same >= within {
			return nil, fmt.Errorf("%w: the comparison does not come nearer than %d to %d", ErrFrame, same, next)
		}
		from, within = same, next-same
	}
	return nil, nil
}

// after returns which part begins at a position.
func (c *comparison) after(same uint64) int {
	for i := range c.parts {
		if c.parts[i].to > same {
			return i
		}
	}
	panic(fmt.Sprintf("stream: nothing was compared behind %d", same))
}

// single reports whether one record lies between two positions.
func (s *search) single(from, to uint64) (bool, error) {
	_, ends, err := s.read(from, ring.MaxRecordBytes)
	return err == nil && len(ends) > 0 && ends[0] >= to, err
}

// parts divides this host's log from a position on, for at most so many bytes, and
// makes a digest of each part.
func (s *search) parts(from, within uint64) (*comparison, error) {
	c, h := &comparison{from: from}, blake3.New()
	end := min(from+within, s.end)
	each := max((end-from)/compareParts, 1)
	for at := from; at < end && len(c.parts) < compareParts; {
		n, ends, err := s.read(at, int(min(end-at, ChunkBytes)))
		if err != nil {
			return nil, err
		}
		if n == 0 {
			break
		}
		begin := at
		for _, e := range ends {
			_, _ = h.Write(s.cursor.buffer[at-begin : e-begin]) // cannot fail
			at = e
			if last := from + uint64(len(c.parts)+1)*each; e >= last || e >= end {
				c.parts = append(c.parts, part{e, digestOf(h)})
				if len(c.parts) == compareParts {
					break
				}
			}
		}
	}
	if len(c.parts) == 0 {
		return nil, fmt.Errorf("%w from %d to %d", ErrNothingCommon, from, end)
	}
	return c, nil
}

func digest(b []byte) [digestBytes]byte {
	h := blake3.New()
	_, _ = h.Write(b) // cannot fail
	return digestOf(h)
}

// ask sends a COMPARE and checks that its answer is one.
func (s *search) ask(asked *comparison) (same, what uint64, err error) {
	c, id := s.client, s.cursor.lane.ID
	if err := c.send(TypeCompare, id, asked.put(nil)); err != nil {
		return 0, 0, err
	}
	body, h, err := c.expect(TypeSame)
	if err != nil {
		return 0, 0, err
	}
	var p place
	if err := p.parse(h.typ, body); err != nil {
		return 0, 0, err
	}
	last := asked.parts[len(asked.parts)-1].to
	known := p[0] == asked.from
	for i := range asked.parts {
		known = known || p[0] == asked.parts[i].to
	}
	if h.lane != id || !known || p[1] >= sameEnd || (p[1] == sameAll) != (p[0] == last) || p[2] > 1<<32-1 {
		return 0, 0, malformed(TypeSame, body)
	}
	s.epoch = uint32(p[2])
	return p[0], p[1], nil
}
