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
	if err := run("../../engine/sbe/onebeat.xml", filepath.Join(dir, "session.go"), filepath.Join(dir, "orders.go")); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"session.go", "orders.go"} {
		got, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join("../../engine/sbe", file))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("engine/sbe/%s is not what the schema gives: run go generate ./engine/sbe", file)
		}
	}
}

func TestUnknownTypeIsRefused(t *testing.T) {
	in := filepath.Join(t.TempDir(), "s.xml")
	text := `<messageSchema id="1" version="1"><message name="M" id="1" blockLength="4"><field name="F" type="float" offset="0"/></message></messageSchema>`
	if err := os.WriteFile(in, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(in, in+".1.go", in+".2.go"); err == nil {
		t.Fatal("a float was accepted")
	}
	if err := run(in+".missing", in+".1.go", in+".2.go"); err == nil {
		t.Fatal("a missing schema was accepted")
	}
}

func TestFieldsOfTwoLaterVersionsAreRefused(t *testing.T) {
	field := func(name string, offset, since int) string {
		return fmt.Sprintf(`<field name=%q type="uint8" offset="%d" sinceVersion="%d"/>`, name, offset, since)
	}
	for _, fields := range []string{field("F", 0, 2) + field("G", 1, 3), field("F", 0, 2) + `<field name="G" type="uint8" offset="1"/>`,
		`<field name="F" type="UUID" offset="0" sinceVersion="2"/>`} {
		in := filepath.Join(t.TempDir(), "s.xml")
		text := `<messageSchema id="1" version="3"><message name="M" id="1" blockLength="8">` + fields + `</message></messageSchema>`
		if err := os.WriteFile(in, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := run(in, in+".1.go", in+".2.go"); err == nil {
			t.Errorf("%s was accepted", fields)
		}
	}
}
