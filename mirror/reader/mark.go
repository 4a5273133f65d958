package reader

import (
	"fmt"

	"onebeat/mirror/archive"
	"onebeat/mirror/ring"
)

// Mark says how far a reader has come, and in which log. Who keeps it with what it
// made of the records does everything exactly once.
type Mark struct {
	Identity archive.Identity // of the log: of its first record; 0: not known
	Position uint64           // of the next record
	// Last is the newest record: a log that has another one there is another log.
	Last     uint64
	Epoch    uint32
	Checksum uint32
	Started  bool // there is a last one
}

// String writes a mark as ParseMark reads it.
func (m Mark) String() string {
	if !m.Started {
		return fmt.Sprintf("%s@%d", m.Identity, m.Position)
	}
	return fmt.Sprintf("%s@%d:%d/%d/%08x", m.Identity, m.Position, m.Last, m.Epoch, m.Checksum)
}

// ParseMark reads what String wrote.
func ParseMark(text string) (m Mark, err error) {
	id := text
	if len(id) > 2*len(m.Identity) {
		id = id[:2*len(m.Identity)]
	}
	if m.Identity, err = archive.ParseIdentity(id); err == nil {
		rest := text[len(id):]
		if _, e := fmt.Sscanf(rest, "@%d:%d/%d/%08x", &m.Position, &m.Last, &m.Epoch, &m.Checksum); e == nil {
			m.Started = true
		} else {
			_, err = fmt.Sscanf(rest, "@%d", &m.Position)
		}
	}
	if err != nil || m.String() != text {
		return Mark{}, fmt.Errorf("%q is no mark of a reader", text)
	}
	return m, nil
}

// Mark returns how far the reader has come.
func (r *Reader) Mark() Mark {
	if r.identity == (archive.Identity{}) {
		r.identity, _ = r.findIdentity()
	}
	m := Mark{Identity: r.identity, Position: r.position}
	if r.last.ok {
		m.Last, m.Epoch, m.Checksum, m.Started = r.last.position, r.last.epoch, r.last.crc, true
	}
	return m
}

// Resume goes on behind what a reader had read. Next returns ErrOtherLog or a *Cut
// if the log does not go on from there.
func (r *Reader) Resume(m Mark) error {
	if err := r.Seek(m.Position); err != nil {
		return err
	}
	r.identity, r.proven = m.Identity, false
	r.last = last{m.Last, m.Epoch, m.Checksum, m.Started}
	return nil
}

// prove finds out whether the memory's log goes on from what was read. ok is false
// while that cannot be told.
func (r *Reader) prove() (ok bool, err error) {
	g := r.mem.ring
	known := r.identity != (archive.Identity{})
	if !known && !r.last.ok {
		r.identity, _ = r.findIdentity()
		r.proven = true // the first look at any
		return true, nil
	}
	if g.Tail() == 0 || r.mem.incarnation == 0 {
		return r.wait("the node's memory is empty")
	}
	id, found := r.findIdentity()
	if known && found && id != r.identity {
		return false, ErrOtherLog
	}
	if !found {
		id = r.identity
	}
	if !r.last.ok {
		r.identity, r.proven = id, true
		return true, nil
	}
	raw, state := r.fetch(r.last.position)
	switch {
	case state == ring.AtTail:
		return r.wait("the log has not come so far")
	case state == ring.Found && ring.CRC(raw) != r.last.crc:
		cut := &Cut{r.last.position}
		r.position, r.last = cut.Position, last{}
		return false, cut
	}
	// The same record, or nobody has it any more: the identity must do.
	r.identity, r.proven = id, true
	return true, nil
}

// fetch returns the raw record at a position: out of the ring, or the archive.
// Overwritten: nobody has it. AtTail: the log has not come so far.
func (r *Reader) fetch(position uint64) ([]byte, ring.State) {
	g := r.mem.ring
	if g.Tail() <= position {
		return nil, ring.AtTail
	}
	if g.Holds(position) {
		view := g.Bytes(position, min(g.Tail(), position+ring.MaxRecordBytes))
		n := copy(r.scratch[:], view)
		if g.Holds(position) && ring.RecordBytes(r.scratch[:n]) > 0 {
			return r.scratch[:n], ring.Found // another one if it is no record's start
		}
	}
	held, ok := r.mem.archived(r.cuts)
	if !ok || held <= position {
		return nil, ring.Overwritten
	}
	if more, err := r.history.fill(position, min(held, position+ring.MaxRecordBytes)); err != nil || !more {
		return nil, ring.Overwritten
	}
	n := copy(r.scratch[:], r.history.chunk)
	r.history.active = false
	return r.scratch[:n], ring.Found
}

// findIdentity looks for the identity of the log: the archive's headers have it,
// and a ring that holds the first record.
func (r *Reader) findIdentity() (id archive.Identity, found bool) {
	if r.mem != nil {
		if g := r.mem.ring; g.Tail() > 0 && g.Holds(0) {
			n := copy(r.scratch[:], g.Bytes(0, min(g.Tail(), ring.MaxRecordBytes)))
			if n = ring.RecordBytes(r.scratch[:n]); n > 0 && g.Holds(0) {
				return archive.IdentityOf(r.scratch[:n]), true
			}
		}
		if held, ok := r.mem.archived(r.cuts); !ok || held == 0 {
			return id, false
		}
	}
	if r.history.open() != nil {
		return id, false
	}
	id = r.history.reader.Identity()
	return id, id != archive.Identity{}
}
