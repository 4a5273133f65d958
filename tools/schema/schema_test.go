package schema

import (
	"bytes"
	"strings"
	"testing"

	"onebeat/engine/sbe"
)

func published(t *testing.T) *Schema {
	t.Helper()
	s, err := Parse(sbe.Schema)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestPublishedSchema: what others generate their clients from is a good schema.
func TestPublishedSchema(t *testing.T) {
	s := published(t)
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	if s.ID != sbe.SchemaID || s.Version != sbe.SchemaVersion {
		t.Errorf("schema %d version %d", s.ID, s.Version)
	}
	for i := range s.Messages {
		if m := &s.Messages[i]; sbe.TemplateName(m.ID) != m.Name || sbe.BlockBytes(m.ID) != m.BlockBytes {
			t.Errorf("%s is not the code's", m.Name)
		}
	}
	var md, lua bytes.Buffer
	if err := s.WriteMarkdown(&md); err != nil || !strings.Contains(md.String(), "| 24 | 8 | Credentials | uint64 |") {
		t.Error(err)
	}
	if err := s.WriteLua(&lua); err != nil || !strings.Contains(lua.String(), `[20] = { name = "NewOrderSingle"`) {
		t.Error(err)
	}
}

// TestRules: each rule is broken once, and named.
func TestRules(t *testing.T) {
	for _, c := range []struct{ what, from, to, want string }{
		{"package", `package="onebeat"`, ``, "package"},
		{"order of bytes", `byteOrder="littleEndian"`, `byteOrder="bigEndian"`, "littleEndian"},
		{"header", `<type name="templateId" primitiveType="uint16"/>`, `<type name="templateId" primitiveType="uint32"/>`, "templateId uint32"},
		{"no header", `composite name="messageHeader"`, `composite name="head"`, "no composite messageHeader"},
		{"message id", `name="Negotiate" id="1"`, `name="Negotiate" id="2"`, "message id 2 is there twice"},
		{"message name", `name="Negotiate" id`, `name="Negotiation Response" id`, "no symbolic name"},
		{"field id", `<field name="Timestamp" id="2"`, `<field name="Timestamp" id="1"`, "field id 1 is there twice"},
		{"type", `type="FlowType" offset="32"`, `type="FlowTypes" offset="32"`, `no type "FlowTypes"`},
		{"overlap", `type="uint64" offset="16"`, `type="uint64" offset="8"`, "overlap"},
		{"alignment", `type="uint64" offset="24"`, `type="uint64" offset="26"`, "not aligned"},
		{"block", `id="1" blockLength="48"`, `id="1" blockLength="47"`, "block of 47 bytes"},
		{"end of block", `id="1" blockLength="48"`, `id="1" blockLength="32"`, "leave the block"},
		{"value of an enum", `name="Unsequenced">1<`, `name="Unsequenced">0<`, "there twice"},
		{"null of an enum", `name="Unsequenced">1<`, `name="Unsequenced">255<`, "out of range"},
		{"encoding", `name="FlowType" encodingType="uint8"`, `name="FlowType" encodingType="float"`, "use uint8"},
		{"later version", `sinceVersion="257"`, `sinceVersion="300"`, "the schema of"},
	} {
		text := strings.Replace(string(sbe.Schema), c.from, c.to, 1)
		if text == string(sbe.Schema) {
			t.Fatalf("%s: the schema has no %q", c.what, c.from)
		}
		s, err := Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Check(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.what, err, c.want)
		}
	}
	if _, err := Parse([]byte("<messageSchema")); err == nil {
		t.Error("no XML was accepted")
	}
}
