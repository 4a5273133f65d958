package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"onebeat/engine/app"
	"onebeat/mirror/archive"
	"onebeat/mirror/ring"
)

// An operator's word that does not say who and why is refused before anything
// starts.
func TestNodeRefusesAWordWithoutWhoAndWhy(t *testing.T) {
	dir := t.TempDir()
	conf := filepath.Join(dir, "n.toml")
	if err := os.WriteFile(conf, []byte(strings.Replace(bookConfig, "DIR", dir, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, by := range []string{"jane", "jane: ", " : it burns"} {
		if _, err := run(t, "node", "--config", conf, "--force-from", by); err == nil || !strings.Contains(err.Error(), "say who and why, as in \"jane@desk: ") {
			t.Errorf("%q: %v", by, err)
		}
	}
	if _, err := run(t, "promote", "--socket", "/nowhere", "--all", "--force-from", "jane: it burns"); err == nil || !strings.Contains(err.Error(), "force-from") {
		t.Errorf("all lanes at once: %v", err)
	}
}

// The word stands in the lane's history as it was said.
func TestRingTailShowsAnOperatorsWord(t *testing.T) {
	const word = "jane@desk: node-a burnt down"
	dir := t.TempDir()
	const ringBytes = 1 << 20
	var tail uint64
	r, err := ring.New(make([]byte, ringBytes+ring.SlackBytes), ringBytes, &tail)
	if err != nil {
		t.Fatal(err)
	}
	f, err := archive.NewFollower(archive.Options{Dir: dir, SegmentBytes: 64 << 10, Wall: func() int64 { return 1 }}, r)
	if err != nil {
		t.Fatal(err)
	}
	r.Append(app.RecordOperator, 3, 1000, []byte(word))
	for now := int64(0); f.Archived() < tail; now += 1e9 {
		f.Step(now)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	out, err := run(t, "ring", "tail", "--archive", dir, "-n", "1")
	if err != nil || !strings.Contains(out, "epoch 3 ") || !strings.HasSuffix(out, "  "+word+"\n") {
		t.Errorf("%v: %q", err, out)
	}
}
