package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"onebeat/engine/app"
	"onebeat/mirror/lane"
	"onebeat/mirror/ring"
	"onebeat/mirror/ringfile"
)

// syncBuffer is written by a command and read by its test.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// A ring file is read like a pinned ring, and followed as it grows.
func TestRingFileIsFollowed(t *testing.T) {
	dir := t.TempDir()
	conf := filepath.Join(dir, "n.toml")
	text := strings.Replace(bookConfig, "[order]", fmt.Sprintf("run_dir = %q\n[order]", dir), 1)
	if err := os.WriteFile(conf, []byte(strings.Replace(text, "DIR", dir, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := run(t, "ring", "tail", "--config", conf); err == nil || !strings.Contains(err.Error(), "did the node ever run") {
		t.Error(out, err)
	}
	const ringBytes = 1 << 16
	m, err := ringfile.Open(ringfile.Path(dir, "n", 0), ringBytes)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	m.Table.Config.Incarnation = 1
	w, err := ring.New(m.Ring, ringBytes, &m.Table.Tail)
	if err != nil {
		t.Fatal(err)
	}
	w.ShareCuts(&m.Table.Cuts)
	m.Table.SetCommit(lane.CommitTail)
	add := func(n int) {
		for range n {
			w.Append(app.RecordTimer, 1, int64(w.Tail()), []byte("tick"))
		}
	}
	add(10)
	if out, err := run(t, "ring", "tail", "-n", "3", "--config", conf); err != nil || strings.Count(out, "timer") != 3 {
		t.Error(out, err)
	}
	if out, err := run(t, "ring", "verify", "--config", conf); err != nil || !strings.Contains(out, "10 records") {
		t.Error(out, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	out := &syncBuffer{}
	c := newRoot()
	c.SetArgs([]string{"ring", "tail", "-n", "2", "--follow", "--committed", "--json", "--config", conf})
	c.SetOut(out)
	c.SetErr(out)
	ended := make(chan error, 1)
	go func() { ended <- c.ExecuteContext(ctx) }()
	lines := func(n int) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); strings.Count(out.String(), "\n") != n; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("want %d lines:\n%s", n, out)
			}
		}
	}
	lines(2)
	add(5)
	lines(7)
	m.Table.SetCommit(lane.CommitPosition)
	add(5) // not held by everybody
	time.Sleep(50 * time.Millisecond)
	lines(7)
	m.Table.SetCommit(lane.CommitTail)
	lines(12)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
