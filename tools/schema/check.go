package schema

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
)

var symbolic = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// checker collects what is wrong with a schema.
type checker struct {
	s    *Schema
	errs []error
}

func (c *checker) fail(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf(format, args...))
}

// unique reports a name or number that is there twice.
type unique map[string]bool

func (u unique) add(c *checker, what, value string) {
	if u[value] {
		c.fail("%s %s is there twice", what, value)
	}
	u[value] = true
}

// Check returns all that is wrong with a schema by the rules of SBE 1.0 for
// messages of a fixed-size block, and by those that let versions speak with each
// other: blocks of multiples of 8 bytes, natural alignment, later fields behind
// the others.
func (s *Schema) Check() error {
	c := &checker{s: s}
	if s.Package == "" || s.ID == 0 || s.Version == 0 || s.ByteOrder != "littleEndian" {
		c.fail("messageSchema: package %q, id %d, version %d, byteOrder %q: all are required, byteOrder littleEndian", s.Package, s.ID, s.Version, s.ByteOrder)
	}
	c.header()
	names := unique{}
	for _, t := range s.Types.Types {
		c.name(t.Name)
		names.add(c, "type", t.Name)
		if primitiveBytes[t.Primitive] == 0 {
			c.fail("type %s: no primitive type %q", t.Name, t.Primitive)
		}
	}
	for i := range s.Types.Enums {
		names.add(c, "type", s.Types.Enums[i].Name)
		c.enum(&s.Types.Enums[i])
	}
	messages, ids := unique{}, unique{}
	for i := range s.Messages {
		m := &s.Messages[i]
		c.name(m.Name)
		messages.add(c, "message", m.Name)
		ids.add(c, "message id", strconv.Itoa(int(m.ID)))
		c.message(m)
	}
	return errors.Join(c.errs...)
}

func (c *checker) name(name string) {
	if !symbolic.MatchString(name) {
		c.fail("%q is no symbolic name: letters, digits and _, and no digit first", name)
	}
}

// header: the four fields every SBE decoder begins with.
func (c *checker) header() {
	want := []string{"blockLength", "templateId", "schemaId", "version"}
	for _, h := range c.s.Types.Composites {
		if h.Name != "messageHeader" {
			continue
		}
		if len(h.Types) != len(want) {
			break
		}
		for i, t := range h.Types {
			if t.Name != want[i] || t.Primitive != "uint16" {
				c.fail("messageHeader: field %d is %s %s, not %s uint16", i, t.Name, t.Primitive, want[i])
			}
		}
		return
	}
	c.fail("no composite messageHeader of %v", want)
}

// nulls are the values that say "there is none" in SBE; no enum may use them.
var nulls = map[string]uint64{"uint8": 255, "uint16": 65535, "char": 0}

func (c *checker) enum(e *Enum) {
	c.name(e.Name)
	null, ok := nulls[e.Encoding]
	if !ok {
		c.fail("enum %s: encoding %q: use uint8 or uint16", e.Name, e.Encoding)
		return
	}
	names, values := unique{}, unique{}
	for _, v := range e.Values {
		c.name(v.Name)
		names.add(c, "enum "+e.Name+" value", v.Name)
		values.add(c, "enum "+e.Name+" number", v.Value)
		n, err := strconv.ParseUint(v.Value, 10, 8*primitiveBytes[e.Encoding])
		if err != nil || n == null {
			c.fail("enum %s: %s = %q is out of range for %s", e.Name, v.Name, v.Value, e.Encoding)
		}
		if v.Since > c.s.Version {
			c.fail("enum %s: %s is of version %d, the schema of %d", e.Name, v.Name, v.Since, c.s.Version)
		}
	}
}

func (c *checker) message(m *Message) {
	if m.ID == 0 || m.BlockBytes%8 != 0 || m.Since > c.s.Version {
		c.fail("message %s: id %d, block of %d bytes (a multiple of 8), version %d (the schema's is %d)", m.Name, m.ID, m.BlockBytes, m.Since, c.s.Version)
	}
	if _, _, err := m.Later(); err != nil {
		c.fail("%w", err)
	}
	names, ids, end := unique{}, unique{}, 0
	for _, f := range m.Fields {
		c.name(f.Name)
		names.add(c, m.Name+" field", f.Name)
		ids.add(c, m.Name+" field id", strconv.Itoa(int(f.ID)))
		size := c.s.Bytes(f.Type)
		switch {
		case size == 0:
			c.fail("%s.%s: no type %q", m.Name, f.Name, f.Type)
		case f.Offset < end || f.Offset+size > m.BlockBytes:
			c.fail("%s.%s: bytes %d to %d overlap another field or leave the block of %d", m.Name, f.Name, f.Offset, f.Offset+size, m.BlockBytes)
		case f.Offset%min(size, 8) != 0:
			c.fail("%s.%s: offset %d is not aligned for %d bytes", m.Name, f.Name, f.Offset, size)
		}
		if f.Since > c.s.Version {
			c.fail("%s.%s is of version %d, the schema of %d", m.Name, f.Name, f.Since, c.s.Version)
		}
		end = f.Offset + size
	}
}
