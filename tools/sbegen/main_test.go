package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestGeneratedIsCurrent: the committed flyweights are those of the schema.
func TestGeneratedIsCurrent(t *testing.T) {
	out := filepath.Join(t.TempDir(), "messages.go")
	if err := run("../../engine/sbe/onebeat.xml", out); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("../../engine/sbe/messages.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatal("engine/sbe/messages.go is not what the schema gives: run go generate ./engine/sbe")
	}
}

func TestUnknownTypeIsRefused(t *testing.T) {
	in := filepath.Join(t.TempDir(), "s.xml")
	text := `<messageSchema id="1" version="1"><message name="M" id="1" blockLength="4"><field name="F" type="float" offset="0"/></message></messageSchema>`
	if err := os.WriteFile(in, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(in, in+".go"); err == nil {
		t.Fatal("a float was accepted")
	}
	if err := run(in+".missing", in+".go"); err == nil {
		t.Fatal("a missing schema was accepted")
	}
}
