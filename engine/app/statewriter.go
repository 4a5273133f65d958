package app

import (
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
)

// Marks around a section of a state: a reader that lost its place finds neither.
const (
	sectionBegins = 0x5453424f // "OBST"
	sectionEnds   = 0x4553424f // "OBSE"

	// StateNameMax bounds a section's name.
	StateNameMax = 32
	// stateBuffer is what writer and reader hold of a state at a time.
	stateBuffer = 64 << 10
)

// FieldKind says how a field's value is read.
type FieldKind uint8

const (
	FieldUnsigned FieldKind = iota
	FieldSigned
	FieldBytes
)

// Field is one value of a state with its place: what two states are compared by.
type Field struct {
	Section string
	Row     uint64 // the element it belongs to; 0 of a section without any
	Name    string
	Kind    FieldKind
	Value   uint64
	Bytes   []byte // of FieldBytes; valid during the call
}

// fieldBytesShown bounds what a Field shows of bytes.
const fieldBytesShown = 64

// Text shows the value.
func (f *Field) Text() string {
	switch f.Kind {
	case FieldSigned:
		return strconv.FormatInt(int64(f.Value), 10)
	case FieldBytes:
		if len(f.Bytes) <= fieldBytesShown {
			return fmt.Sprintf("%x", f.Bytes)
		}
		return fmt.Sprintf("%d bytes, hash %016x", len(f.Bytes), f.Hash())
	}
	return strconv.FormatUint(f.Value, 10)
}

// Hash folds name and value.
func (f *Field) Hash() uint64 {
	d := Fold(f.Value, uint64(f.Kind))
	for i := range len(f.Name) {
		d = Fold(d, uint64(f.Name[i]))
	}
	b := f.Bytes
	for ; len(b) >= 8; b = b[8:] {
		d = Fold(d, binary.LittleEndian.Uint64(b))
	}
	for _, c := range b {
		d = Fold(d, uint64(c))
	}
	return d
}

// StateWriter takes a machine's state, value by value: little-endian, in sections
// with a name and a version of their own. The first error stays and stops it. A
// row and the names of values are not written: they are for NewStateVisitor, by
// which the same Save shows a state to people.
type StateWriter struct {
	w     io.Writer
	buf   []byte
	n     int
	count uint64
	err   error
	visit func(*Field)
	field Field
}

// NewStateWriter returns a writer to w; Flush ends it.
func NewStateWriter(w io.Writer) *StateWriter {
	return &StateWriter{w: w, buf: make([]byte, stateBuffer)}
}

// NewStateVisitor returns a writer that writes nothing and calls visit for each
// value.
func NewStateVisitor(visit func(*Field)) *StateWriter {
	return &StateWriter{visit: visit}
}

// Flush passes on what is still held and returns the first error.
func (s *StateWriter) Flush() error {
	if s.err == nil && s.n > 0 {
		_, s.err = s.w.Write(s.buf[:s.n])
		s.n = 0
	}
	return s.err
}

// Err returns the first error.
func (s *StateWriter) Err() error { return s.err }

// Count returns how many bytes were written.
func (s *StateWriter) Count() uint64 { return s.count }

// take returns room for n bytes, at most stateBuffer.
func (s *StateWriter) take(n int) []byte {
	if s.n+n > len(s.buf) {
		_ = s.Flush() // the error stays
		s.n = 0
	}
	b := s.buf[s.n : s.n+n]
	s.n += n
	s.count += uint64(n)
	return b
}

// Section begins a section; sections are not nested. version is that of its
// content.
func (s *StateWriter) Section(name string, version uint16) {
	if len(name) == 0 || len(name) > StateNameMax {
		panic(fmt.Sprintf("app: section name %q", name))
	}
	if s.visit != nil {
		s.field = Field{Section: name}
		return
	}
	binary.LittleEndian.PutUint32(s.take(4), sectionBegins)
	s.take(1)[0] = byte(len(name))
	copy(s.take(len(name)), name)
	binary.LittleEndian.PutUint16(s.take(2), version)
}

// End ends a section.
func (s *StateWriter) End() {
	if s.visit != nil {
		s.field = Field{}
		return
	}
	binary.LittleEndian.PutUint32(s.take(4), sectionEnds)
}

// Row says to which element of the section the next values belong: an order's
// key, a session's index.
func (s *StateWriter) Row(key uint64) { s.field.Row = key }

// value shows a value; false: it is to be written.
func (s *StateWriter) value(name string, kind FieldKind, v uint64, b []byte) bool {
	if s.visit == nil {
		return false
	}
	s.field.Name, s.field.Kind, s.field.Value, s.field.Bytes = name, kind, v, b
	s.visit(&s.field)
	return true
}

// U8 writes one byte.
func (s *StateWriter) U8(name string, v uint8) {
	if !s.value(name, FieldUnsigned, uint64(v), nil) {
		s.take(1)[0] = v
	}
}

// Bool writes a byte that is 0 or 1.
func (s *StateWriter) Bool(name string, v bool) {
	b := uint8(0)
	if v {
		b = 1
	}
	s.U8(name, b)
}

// U16 writes two bytes.
func (s *StateWriter) U16(name string, v uint16) {
	if !s.value(name, FieldUnsigned, uint64(v), nil) {
		binary.LittleEndian.PutUint16(s.take(2), v)
	}
}

// U32 writes four bytes.
func (s *StateWriter) U32(name string, v uint32) {
	if !s.value(name, FieldUnsigned, uint64(v), nil) {
		binary.LittleEndian.PutUint32(s.take(4), v)
	}
}

// U64 writes eight bytes.
func (s *StateWriter) U64(name string, v uint64) {
	if !s.value(name, FieldUnsigned, v, nil) {
		binary.LittleEndian.PutUint64(s.take(8), v)
	}
}

// I64 writes eight bytes.
func (s *StateWriter) I64(name string, v int64) {
	if !s.value(name, FieldSigned, uint64(v), nil) {
		binary.LittleEndian.PutUint64(s.take(8), uint64(v))
	}
}

// Int writes a count or an index that is never negative, as eight bytes.
func (s *StateWriter) Int(name string, v int) { s.U64(name, uint64(v)) }

// Bytes writes b as it is: the reader knows its length.
func (s *StateWriter) Bytes(name string, b []byte) {
	if s.value(name, FieldBytes, 0, b) {
		return
	}
	for len(b) > 0 {
		n := min(len(b), stateBuffer)
		copy(s.take(n), b)
		b = b[n:]
	}
}
