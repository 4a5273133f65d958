package app

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// ErrState is wrapped by every refusal of a saved state.
var ErrState = errors.New("saved state")

// StateReader gives back what a StateWriter took. The first error stays; every
// value behind it is 0, so that a Load reads on and asks once. What is read is
// believed for nothing: each count is bounded by the caller, each value checked.
type StateReader struct {
	r       io.Reader
	buf     []byte
	at, end int
	count   uint64 // bytes taken
	section string
	err     error
	// Sessions of the machine that loads: what an application may name.
	Sessions uint32
}

// NewStateReader returns a reader of r.
func NewStateReader(r io.Reader) *StateReader {
	return &StateReader{r: r, buf: make([]byte, stateBuffer)}
}

// Err returns the first error.
func (s *StateReader) Err() error { return s.err }

// Count returns how many bytes were read.
func (s *StateReader) Count() uint64 { return s.count }

// Fail refuses what was read, unless something was refused before.
func (s *StateReader) Fail(format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf("%w: %s at byte %d: %w", ErrState, s.where(), s.count, fmt.Errorf(format, args...))
	}
}

func (s *StateReader) where() string {
	if s.section == "" {
		return "between sections"
	}
	return "section " + s.section
}

// take returns the next n bytes, at most stateBuffer; zeros behind an error.
func (s *StateReader) take(n int) []byte {
	if s.err == nil && s.end-s.at < n {
		s.fill(n)
	}
	if s.err != nil {
		clear(s.buf[:n])
		return s.buf[:n]
	}
	b := s.buf[s.at : s.at+n]
	s.at += n
	s.count += uint64(n)
	return b
}

func (s *StateReader) fill(n int) {
	s.end = copy(s.buf, s.buf[s.at:s.end])
	s.at = 0
	for s.end < n {
		more, err := s.r.Read(s.buf[s.end:])
		s.end += more
		if s.end >= n {
			return
		}
		switch {
		case errors.Is(err, io.EOF):
			s.Fail("it ends too early")
			return
		case err != nil:
			s.Fail("%w", err)
			return
		}
	}
}

// Section begins a section and returns the version of its content, 1 to
// newest; another section, or a newer one, is refused.
func (s *StateReader) Section(name string, newest uint16) (version uint16) {
	mark := binary.LittleEndian.Uint32(s.take(4))
	length := int(s.take(1)[0])
	if s.err == nil && (mark != sectionBegins || length == 0 || length > StateNameMax) {
		s.Fail("no section begins here, where %s should", name)
	}
	found := string(s.take(min(length, StateNameMax)))
	version = binary.LittleEndian.Uint16(s.take(2))
	switch {
	case s.err != nil:
		return newest
	case found != name:
		s.Fail("section %q where %q should be: it is of another application or program", found, name)
	case version == 0 || version > newest:
		s.Fail("section %s has version %d, this program knows up to %d: use the program that wrote it, or a newer one", name, version, newest)
	}
	s.section = name
	return version
}

// End ends a section.
func (s *StateReader) End() {
	if binary.LittleEndian.Uint32(s.take(4)) != sectionEnds {
		s.Fail("the section does not end where it should")
	}
	s.section = ""
}

// U8 reads one byte.
func (s *StateReader) U8() uint8 { return s.take(1)[0] }

// Bool reads a byte that must be 0 or 1.
func (s *StateReader) Bool() bool {
	v := s.take(1)[0]
	if v > 1 {
		s.Fail("%d is neither yes nor no", v)
	}
	return v == 1 && s.err == nil
}

// U16 reads two bytes.
func (s *StateReader) U16() uint16 { return binary.LittleEndian.Uint16(s.take(2)) }

// U32 reads four bytes.
func (s *StateReader) U32() uint32 { return binary.LittleEndian.Uint32(s.take(4)) }

// U64 reads eight bytes.
func (s *StateReader) U64() uint64 { return binary.LittleEndian.Uint64(s.take(8)) }

// I64 reads eight bytes.
func (s *StateReader) I64() int64 { return int64(s.U64()) }

// Int reads a count or an index from 0 to most.
func (s *StateReader) Int(what string, most int) int {
	v := s.U64()
	if v > uint64(most) {
		s.Fail("%s %d, where %d is the most", what, v, most)
		return 0
	}
	return int(v)
}

// Is reads a number that must be want: a size that both configurations set.
func (s *StateReader) Is(what string, want int) {
	if v := s.U64(); v != uint64(want) && s.err == nil {
		s.Fail("%s is %d there and %d here: give this node the configuration that it was saved with", what, v, want)
	}
}

// Bytes fills b.
func (s *StateReader) Bytes(b []byte) {
	for len(b) > 0 && s.err == nil {
		n := min(len(b), stateBuffer)
		copy(b, s.take(n))
		b = b[n:]
	}
	if s.err != nil {
		clear(b)
	}
}
