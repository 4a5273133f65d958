package schema

import (
	"encoding/xml"
	"fmt"
	"strings"
)

// Schema is an SBE messageSchema.
type Schema struct {
	Package   string    `xml:"package,attr"`
	ID        uint16    `xml:"id,attr"`
	Version   uint16    `xml:"version,attr"`
	ByteOrder string    `xml:"byteOrder,attr"`
	Semantic  string    `xml:"semanticVersion,attr"`
	Types     Types     `xml:"types"`
	Messages  []Message `xml:"message"`
}

// Types are the types beside the primitive ones.
type Types struct {
	Composites []Composite `xml:"composite"`
	Types      []Type      `xml:"type"`
	Enums      []Enum      `xml:"enum"`
}

// Composite is a group of types, here only the message header.
type Composite struct {
	Name  string `xml:"name,attr"`
	Types []Type `xml:"type"`
}

// Type is a primitive type, or an array of one.
type Type struct {
	Name      string `xml:"name,attr"`
	Primitive string `xml:"primitiveType,attr"`
	Length    int    `xml:"length,attr"`
}

// Enum is a named set of values.
type Enum struct {
	Name     string  `xml:"name,attr"`
	Encoding string  `xml:"encodingType,attr"`
	Values   []Value `xml:"validValue"`
}

// Value is one of an Enum's.
type Value struct {
	Name  string `xml:"name,attr"`
	Since uint16 `xml:"sinceVersion,attr"`
	Value string `xml:",chardata"`
}

// Message is one template.
type Message struct {
	Name        string  `xml:"name,attr"`
	ID          uint16  `xml:"id,attr"`
	BlockBytes  int     `xml:"blockLength,attr"`
	Since       uint16  `xml:"sinceVersion,attr"`
	MsgType     string  `xml:"semanticType,attr"` // FIX's; the session layer has none
	Description string  `xml:"description,attr"`
	Fields      []Field `xml:"field"`
}

// Field is a field of a message's block.
type Field struct {
	Name        string `xml:"name,attr"`
	ID          uint16 `xml:"id,attr"`
	Type        string `xml:"type,attr"`
	Offset      int    `xml:"offset,attr"`
	Since       uint16 `xml:"sinceVersion,attr"` // 0: from the message's first
	Description string `xml:"description,attr"`
}

// Parse reads a schema; Check says whether it is a good one.
func Parse(text []byte) (*Schema, error) {
	var s Schema
	if err := xml.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("parse schema: %w", err)
	}
	for i := range s.Types.Enums {
		for j := range s.Types.Enums[i].Values {
			v := &s.Types.Enums[i].Values[j]
			v.Value = strings.TrimSpace(v.Value)
		}
	}
	return &s, nil
}

// Order tells order messages, which are FIX messages, from the session layer's.
func (m *Message) Order() bool { return m.MsgType != "" }

// Later is the version that added fields to the message, and baseBytes what its
// block is without them; 0: none did.
func (m *Message) Later() (version uint16, baseBytes int, err error) {
	for _, f := range m.Fields {
		switch {
		case f.Since == 0 && version == 0, f.Since == version && version != 0:
		case version == 0:
			version, baseBytes = f.Since, f.Offset
		default:
			return 0, 0, fmt.Errorf("message %s field %s: fields of one later version, at the end, are supported", m.Name, f.Name)
		}
	}
	return version, baseBytes, nil
}

// Encodings is the wire type of every enum.
func (s *Schema) Encodings() map[string]string {
	encodings := map[string]string{}
	for _, e := range s.Types.Enums {
		encodings[e.Name] = e.Encoding
	}
	return encodings
}

var primitiveBytes = map[string]int{"char": 1, "int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "int32": 4, "uint32": 4, "int64": 8, "uint64": 8}

// Bytes returns the size of a type; 0: there is none of that name.
func (s *Schema) Bytes(name string) int {
	if n := primitiveBytes[name]; n != 0 {
		return n
	}
	for _, t := range s.Types.Types {
		if t.Name == name {
			return primitiveBytes[t.Primitive] * max(1, t.Length)
		}
	}
	for _, e := range s.Types.Enums {
		if e.Name == name {
			return primitiveBytes[e.Encoding]
		}
	}
	return 0
}
