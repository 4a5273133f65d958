package stream

import (
	"encoding/binary"
	"errors"

	"github.com/zeebo/blake3"

	"onebeat/mirror/archive"
	"onebeat/mirror/ring"
)

const (
	// compareParts bounds the digests of one COMPARE, compareBytes the part of the
	// log that it is about: a server answers within a second.
	compareParts = 16
	compareBytes = 16 << 20

	digestBytes = 16 // of BLAKE3
)

// part is a place in the log, and the digest of what lies between the
// comparison's beginning and it.
type part struct {
	to     uint64
	digest [digestBytes]byte
}

// comparison is the body of a COMPARE: {from u64, parts u32, 0 u32, for each to
// u64 and digest 16}. The records before from are the same in both logs.
type comparison struct {
	from  uint64
	parts []part
}

func (c *comparison) put(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, c.from)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(c.parts)))
	for i := range c.parts {
		b = binary.LittleEndian.AppendUint64(b, c.parts[i].to)
		b = append(b, c.parts[i].digest[:]...)
	}
	return b
}

func (c *comparison) parse(b []byte) error {
	const head, each = 16, 8 + digestBytes
	if len(b) < head+each || (len(b)-head)%each != 0 || binary.LittleEndian.Uint64(b[8:]) != uint64(len(b)-head)/each {
		return malformed(TypeCompare, b)
	}
	c.from = binary.LittleEndian.Uint64(b)
	last := c.from
	for rest := b[head:]; len(rest) > 0; rest = rest[each:] {
		p := part{to: binary.LittleEndian.Uint64(rest)}
		copy(p.digest[:], rest[8:])
		if p.to <= last || p.to-c.from > compareBytes || p.to%ring.AlignBytes != 0 {
			return malformed(TypeCompare, b)
		}
		last = p.to
		c.parts = append(c.parts, p)
	}
	if len(c.parts) > compareParts || c.from%ring.AlignBytes != 0 {
		return malformed(TypeCompare, b)
	}
	return nil
}

// What stands behind the same part of two logs, as SAME says it: {position u64, one
// of these u64, epoch of the server's node u64}.
const (
	sameAll    uint64 = iota // all that was asked for is the same
	sameDiffer               // the server's log goes on otherwise
	sameEnds                 // the server has nothing to give away there yet
	sameNone                 // the server has no record that begins there
	sameEnd
)

// compare answers a COMPARE.
func (s *session) compare(l *Lane, body []byte) (err error) {
	var asked comparison
	if err := asked.parse(body); err != nil {
		return err
	}
	c := cursor{lane: l, position: asked.from, buffer: s.buffer[HeaderBytes+chunkHeadBytes:]}
	defer func() { err = errors.Join(err, c.close()) }()
	end, ok := c.end(&LogRequest{})
	if !ok {
		return refuse(ReasonNotHere, "lane %d is %v here", l.ID, l.Look().Word)
	}
	epoch := uint32(0)
	if l.Look != nil {
		epoch = l.Look().Word.Epoch()
	}
	same, what, err := c.same(&asked, end)
	if err != nil {
		return err
	}
	p := place{same, what, uint64(epoch)}
	return s.send(TypeSame, l.ID, p.put(s.body()))
}

// same returns up to where a client's log is this one, and what stands there.
func (c *cursor) same(asked *comparison, end uint64) (same, what uint64, err error) {
	h := blake3.New()
	same = asked.from
	var rest []byte // read, and not in the digest yet
	at := asked.from
	for i := range asked.parts {
		p := &asked.parts[i]
		for at < p.to {
			if len(rest) == 0 {
				if rest, what, err = c.more(asked.from, end); err != nil || what != sameAll {
					if what == sameEnds && end > same {
						what = sameDiffer // it goes on, with less than the client's part
					}
					return same, what, err
				}
			}
			n := min(uint64(len(rest)), p.to-at)
			_, _ = h.Write(rest[:n]) // cannot fail
			rest, at = rest[n:], at+n
		}
		if digestOf(h) != p.digest {
			return same, sameDiffer, nil
		}
		same = p.to
	}
	return same, sameAll, nil
}

// more reads on. What cannot be read at the comparison's beginning may be no
// record's start here; behind it, it is harm.
func (c *cursor) more(from, end uint64) (b []byte, what uint64, err error) {
	if c.position >= end {
		return nil, sameEnds, nil
	}
	n, harmed, err := c.raw(end)
	var gap *archive.Gap
	switch {
	case errors.As(err, &gap), errors.Is(err, archive.ErrDamaged), errors.Is(err, ErrHistory), err == nil && n == 0 && harmed:
		if c.position == from {
			return nil, sameNone, nil
		}
		if err == nil {
			err = archive.ErrDamaged
		}
		return nil, 0, refuse(ReasonDamage, "position %d: %v", c.position, err)
	case err != nil:
		return nil, 0, err
	case n == 0:
		return nil, sameEnds, nil
	}
	c.position += uint64(n)
	return c.buffer[:n], sameAll, nil
}

func digestOf(h *blake3.Hasher) (d [digestBytes]byte) {
	copy(d[:], h.Sum(nil))
	return d
}
