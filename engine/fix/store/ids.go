package store

import (
	"encoding/binary"

	"onebeat/engine/fix/convert"
	"onebeat/engine/sbe"
	"onebeat/engine/table"
)

// entry is one ClOrdID of a client: of an order, or of a cancel or replace of one.
type entry struct {
	id       uint64 // number that stands for it; never again
	root     uint64 // id of the order it is about; its own for an order
	current  uint64 // of an order: id of the last replace that was accepted, or its own
	pending  uint64 // of an order: id of the newest cancel or replace
	orderID  uint64
	sum      int64 // ticks times lots that were traded
	symbol   uint32
	account  uint32
	session  uint16
	length   uint8
	finished bool
	dead     bool // a cancel or replace that was refused: no order is called so
	status   uint8
	side     uint8
	text     [convert.ClOrdIDMaxBytes]byte
}

func (e *entry) name() []byte { return e.text[:e.length] }

// ids finds numbers for texts and texts for numbers. The oldest finished entries
// are forgotten for new ones.
type ids struct {
	entries []entry
	places  table.Places
	byText  *table.U64
	byID    *table.U64
	next    uint64
}

func newIDs(most int) ids {
	return ids{entries: table.Touched[entry](most), places: table.NewPlaces(most, most/2), byText: table.NewU64(most), byID: table.NewU64(most), next: 1}
}

// key hashes a session's text. Who makes two of his own texts collide has the second
// one refused.
func key(session uint16, text []byte) uint64 {
	h := (uint64(session)<<8 | uint64(len(text))) * 0x9e3779b97f4a7c15
	for ; len(text) >= 8; text = text[8:] {
		h = (h ^ binary.LittleEndian.Uint64(text)) * 0xd6e8feb86659fd93
		h ^= h >> 32
	}
	for _, c := range text {
		h = (h ^ uint64(c)) * 0x100000001b3
	}
	h = (h ^ h>>29) * 0x9e3779b97f4a7c15
	return h | 1<<63
}

// find returns the place of a text.
func (t *ids) find(session uint16, text []byte) (*entry, bool) {
	if len(text) == 0 {
		return nil, false
	}
	i, ok := t.byText.Get(key(session, text))
	if !ok {
		return nil, false
	}
	e := &t.entries[i]
	return e, e.session == session && string(e.name()) == string(text)
}

func (t *ids) byNumber(id uint64) *entry {
	i, ok := t.byID.Get(id)
	if !ok {
		return nil
	}
	return &t.entries[i]
}

// add gives a new text the next number; nil: there is no room for it.
func (t *ids) add(session uint16, text []byte) *entry {
	k := key(session, text)
	if _, taken := t.byText.Get(k); taken {
		return nil // another text
	}
	i, forget := t.places.Take()
	if i == table.None {
		return nil
	}
	e := &t.entries[i]
	if forget && e.id != 0 {
		t.byText.Delete(key(e.session, e.name()))
		t.byID.Delete(e.id)
	}
	*e = entry{}
	if !t.byText.Put(k, i) {
		t.places.Finish(i)
		return nil
	}
	if !t.byID.Put(t.next, i) {
		t.byText.Delete(k)
		t.places.Finish(i)
		return nil
	}
	*e = entry{id: t.next, root: t.next, current: t.next, session: session, length: uint8(len(text))}
	copy(e.text[:], text)
	t.next++
	return e
}

// finish says that nothing more is expected of an entry; it is remembered for a while.
func (t *ids) finish(e *entry) {
	if e == nil || e.finished {
		return
	}
	e.finished = true
	if i, ok := t.byID.Get(e.id); ok {
		t.places.Finish(i)
	}
}

// finishOrder ends an order with all that hangs on it.
func (t *ids) finishOrder(e *entry) {
	t.finish(t.byNumber(e.pending))
	t.finish(t.byNumber(e.current))
	t.finish(e)
}

func ended(s sbe.OrdStatus) bool {
	switch s {
	case sbe.OrdStatusFilled, sbe.OrdStatusCancelled, sbe.OrdStatusRejected:
		return true
	}
	return false
}
