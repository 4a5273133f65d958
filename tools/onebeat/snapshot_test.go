package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"onebeat/engine/app"
	"onebeat/mirror/archive"
	"onebeat/mirror/disk"
	"onebeat/mirror/snapshot"
	"onebeat/tools/config"
	"onebeat/tools/node"
)

// saveStates makes snapshots of a lane's archive behind so many records each.
func saveStates(t *testing.T, cfg *config.Config, dir string, records ...int) {
	t.Helper()
	store, err := snapshot.Open(disk.OS{}, node.SnapshotDir(cfg, 0), len(records))
	if err != nil {
		t.Fatal(err)
	}
	src := snapshot.Source{FS: disk.OS{}, Archive: dir, Store: store, New: func() (app.Machine, error) { return node.NewMachine(cfg.Lane(0)) }}
	r, err := src.Start(0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	done := 0
	for _, n := range records {
		if _, _, err := r.Step(n-done, ^uint64(0), nil); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Save(func(h *snapshot.Header) { h.App = "book" }); err != nil {
			t.Fatal(err)
		}
		done = n
	}
}

func TestSnapshotCommands(t *testing.T) {
	dir := t.TempDir()
	a := archive.LaneDir(dir, "n", 0)
	writeArchive(t, a, 1000, false)
	conf := filepath.Join(t.TempDir(), "n.toml")
	text := strings.Replace(strings.Replace(bookConfig, "DIR", dir, 1), "[[lane]]", "[snapshot]\n[[lane]]", 1)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(conf)
	if err != nil {
		t.Fatal(err)
	}
	must := func(args ...string) string {
		t.Helper()
		out, err := run(t, args...)
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return out
	}
	whole := replayOf(t, must("ring", "replay", "--config", conf, "--archived", "--json"))
	saveStates(t, cfg, a, 300, 700)
	out := must("snapshot", "ls", "--config", conf)
	if strings.Count(out, "\n") != 2 || !strings.Contains(out, "700 records") || !strings.Contains(out, "book") {
		t.Fatal(out)
	}
	if out := must("snapshot", "verify", "--config", conf); strings.Count(out, ", whole") != 2 {
		t.Fatal(out)
	}
	for _, l := range strings.Split(strings.TrimSpace(must("snapshot", "ls", node.SnapshotDir(cfg, 0), "--json")), "\n") {
		var line snapshotLine
		if err := json.Unmarshal([]byte(l), &line); err != nil || line.Position == 0 || line.Digest == "" {
			t.Fatal(l, err)
		}
	}
	r := replayOf(t, must("ring", "replay", "--config", conf, "--archived", "--from-snapshot", "newest", "--json"))
	if r.Digest != whole.Digest || r.Records != whole.Records-700 || r.From == 0 {
		t.Fatalf("%+v, from the beginning %+v", r, whole)
	}
	files, err := snapshot.List(disk.OS{}, node.SnapshotDir(cfg, 0))
	if err != nil || len(files) != 2 {
		t.Fatal(files, err)
	}
	if r := replayOf(t, must("ring", "replay", "--config", conf, "--archived", "--from-snapshot", files[0].Path, "--json")); r.Digest != whole.Digest || r.Records != whole.Records-300 {
		t.Fatalf("%+v", r)
	}
	b, err := os.ReadFile(files[1].Path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 4
	if err := os.WriteFile(files[1].Path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := run(t, "snapshot", "verify", "--config", conf); err == nil || strings.Count(out, ", whole") != 1 || !strings.Contains(out, "DAMAGED at offset") {
		t.Fatal(out, err)
	}
	if out, err := run(t, "ring", "replay", "--config", conf, "--archived", "--from-snapshot", files[1].Path); err == nil {
		t.Fatal("a harmed snapshot was taken", out)
	}
	if r := replayOf(t, must("ring", "replay", "--config", conf, "--archived", "--from-snapshot", "newest", "--json")); r.Digest != whole.Digest || r.Snapshot != files[0].Path {
		t.Fatalf("%+v", r)
	}
}

func replayOf(t *testing.T, text string) (r replayed) {
	t.Helper()
	at := strings.Index(text, "{")
	if at < 0 {
		t.Fatal(text)
	}
	if err := json.Unmarshal([]byte(text[at:]), &r); err != nil {
		t.Fatal(err, text)
	}
	return r
}
