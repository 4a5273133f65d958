package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestGeneratedIsCurrent: the committed flyweights are those of the schema.
func TestGeneratedIsCurrent(t *testing.T) {
	dir := t.TempDir()
	docs := filepath.Join(dir, "fixp.md")
	if err := os.WriteFile(docs, []byte(docsBegin+"old"+docsEnd), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run("../../engine/sbe/onebeat.xml", filepath.Join(dir, "session.go"), filepath.Join(dir, "orders.go"), filepath.Join(dir, "onebeat_messages.lua"), docs); err != nil {
		t.Fatal(err)
	}
	for file, at := range map[string]string{"session.go": "engine/sbe", "orders.go": "engine/sbe", "onebeat_messages.lua": "tools/wireshark"} {
		got, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join("../..", at, file))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s/%s is not what the schema gives: run go generate ./engine/sbe", at, file)
		}
	}
	got, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	if want, err := os.ReadFile("../../docs/fixp.md"); err != nil || !bytes.Contains(want, got) {
		t.Errorf("docs/fixp.md has not the tables that the schema gives: run go generate ./engine/sbe (%v)", err)
	}
}

func TestUnknownTypeIsRefused(t *testing.T) {
	in := filepath.Join(t.TempDir(), "s.xml")
	text := `<messageSchema package="p" id="1" version="1" byteOrder="littleEndian">` + header + `<message name="M" id="1" blockLength="8"><field name="F" type="float" offset="0"/></message></messageSchema>`
	if err := os.WriteFile(in, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(in, in+".1.go", in+".2.go", in+".lua", in+".md"); err == nil {
		t.Fatal("a float was accepted")
	}
	if err := run(in+".missing", in+".1.go", in+".2.go", in+".lua", in+".md"); err == nil {
		t.Fatal("a missing schema was accepted")
	}
}

func TestFieldsOfTwoLaterVersionsAreRefused(t *testing.T) {
	field := func(name string, offset, since int) string {
		return fmt.Sprintf(`<field name=%q id="%d" type="uint8" offset="%d" sinceVersion="%d"/>`, name, offset+1, offset, since)
	}
	for _, fields := range []string{field("F", 0, 2) + field("G", 1, 3), field("F", 0, 2) + `<field name="G" id="2" type="uint8" offset="1"/>`,
		`<field name="F" type="UUID" offset="0" sinceVersion="2"/>`} {
		in := filepath.Join(t.TempDir(), "s.xml")
		text := `<messageSchema package="p" id="1" version="3" byteOrder="littleEndian">` + header + `<message name="M" id="1" blockLength="8">` + fields + `</message></messageSchema>`
		if err := os.WriteFile(in, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := run(in, in+".1.go", in+".2.go", in+".lua", in+".md"); err == nil {
			t.Errorf("%s was accepted", fields)
		}
	}
}

// header is what every schema has.
const header = `<types><composite name="messageHeader"><type name="blockLength" primitiveType="uint16"/><type name="templateId" primitiveType="uint16"/>` +
	`<type name="schemaId" primitiveType="uint16"/><type name="version" primitiveType="uint16"/></composite><type name="UUID" primitiveType="uint8" length="16"/></types>`
