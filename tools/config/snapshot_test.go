package config

import (
	"strings"
	"testing"
)

func TestSnapshot(t *testing.T) {
	with := func(lines string) string {
		return strings.Replace(base, "[[lane]]", lines+"\n[[lane]]", 1)
	}
	c, err := Parse("x.toml", []byte(with("[archive]\ndir = \"/a\"\n[snapshot]")))
	if err != nil {
		t.Fatal(err)
	}
	if s := *c.Snapshot; s != (Snapshot{Records: 1_000_000, Every: 900_000_000_000, Keep: 3}) {
		t.Errorf("%+v", s)
	}
	for _, bad := range []struct{ lines, want string }{
		{"[snapshot]", "snapshot: there is no [archive]; add one"},
		{"[archive]\ndir = \"/a\"\n[snapshot]\ndir = \"s\"", `snapshot.dir: "s" is not an absolute path; start it with /`},
		{"[archive]\ndir = \"/a\"\n[snapshot]\nkeep = 0", "snapshot.keep: 0 is out of range; use 1 to 1000"},
		{"[archive]\ndir = \"/a\"\n[snapshot]\nevery = \"1ms\"", "snapshot.every: 1ms is out of range"},
	} {
		if _, err := Parse("x.toml", []byte(with(bad.lines))); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%q: %v, want %s", bad.lines, err, bad.want)
		}
	}
}
