package hook

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func script(t *testing.T, text string) (path, out string) {
	t.Helper()
	dir := t.TempDir()
	path, out = filepath.Join(dir, "hook"), filepath.Join(dir, "out")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nOUT="+out+"\n"+text+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path, out
}

func open(t *testing.T, cfgs ...Config) *Hooks {
	t.Helper()
	hs, err := Open(cfgs, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return hs
}

func role(epoch uint32) Event {
	return Event{Event: EventRole, Node: "n", Number: 2, Lane: 3, From: "STANDBY", To: "CANDIDATE", Epoch: epoch, Why: "fenced", Time: time.Now(), MonoNs: 5}
}

// TestEvent: JSON on standard input, the rest in the environment.
func TestEvent(t *testing.T) {
	path, out := script(t, `cat > $OUT; env >> $OUT; echo "$1" >> $OUT`)
	t.Setenv("ONEBEAT_TEST_SECRET", "x")
	hs := open(t, Config{Path: path, Args: []string{"argument"}, Timeout: 5 * time.Second})
	hs.Tell(Event{Event: "refused", Lane: NoLane})
	hs.Tell(role(7))
	if err := hs.Close(5 * time.Second); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	line, rest, _ := strings.Cut(string(b), "\n")
	var e Event
	if err := json.Unmarshal([]byte(line), &e); err != nil || e.Epoch != 7 || e.From != "STANDBY" || e.Why != "fenced" || e.Lane != 3 {
		t.Errorf("%q: %v", line, err)
	}
	for _, want := range []string{"ONEBEAT_EVENT=role\n", "ONEBEAT_NODE=n\n", "ONEBEAT_LANE=3\n", "ONEBEAT_TO=CANDIDATE\n", "ONEBEAT_EPOCH=7\n", "argument\n"} {
		if !strings.Contains(rest, want) {
			t.Errorf("no %q in %q", want, rest)
		}
	}
	if strings.Contains(rest, "SECRET") {
		t.Error("the node's environment is inherited")
	}
	if s := hs.Status()[0]; s.Runs != 1 || s.Failed != 0 {
		t.Errorf("%+v: an event that it did not want came", s)
	}
}

func TestOrderAndAllEvents(t *testing.T) {
	path, out := script(t, `echo $ONEBEAT_EVENT $ONEBEAT_EPOCH >> $OUT`)
	hs := open(t, Config{Path: path, Timeout: 5 * time.Second, All: true})
	for i := range uint32(10) {
		hs.Tell(role(i))
	}
	hs.Tell(Event{Event: "alone"})
	if err := hs.Close(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	b, _ := os.ReadFile(out)
	if want := "role 0\nrole 1\nrole 2\nrole 3\nrole 4\nrole 5\nrole 6\nrole 7\nrole 8\nrole 9\nalone\n"; string(b) != want && string(b) != strings.Replace(want, "alone", "alone ", 1) {
		t.Errorf("%q", b)
	}
}

// TestHangingHook: it is killed, telling never blocks, what does not fit is
// dropped and counted, and another hook does not notice.
func TestHangingHook(t *testing.T) {
	hang, _ := script(t, `sleep 1000`)
	good, out := script(t, `echo $ONEBEAT_EPOCH >> $OUT`)
	hs := open(t, Config{Path: hang, Timeout: 300 * time.Millisecond}, Config{Path: good, Timeout: 5 * time.Second})
	const events = queueMax * 2
	for i := range uint32(events) {
		began := time.Now()
		hs.Tell(role(i))
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("telling took %v", took)
		}
		if i > queueMax/2 {
			time.Sleep(5 * time.Millisecond) // the good one keeps up
		}
	}
	for deadline := time.Now().Add(10 * time.Second); hs.Status()[1].Runs < events && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	s := hs.Status()
	if s[0].Killed == 0 || s[0].Dropped == 0 || s[0].Killed+s[0].Dropped+uint64(s[0].Waiting) > events {
		t.Errorf("hanging: %+v", s[0])
	}
	if s[1].Dropped != 0 || s[1].Runs != events {
		t.Errorf("the good one: %+v", s[1])
	}
	if b, _ := os.ReadFile(out); strings.Count(string(b), "\n") < events-1 {
		t.Errorf("%d lines", strings.Count(string(b), "\n"))
	}
	began := time.Now()
	if err := hs.Close(200 * time.Millisecond); err != nil || time.Since(began) > 2*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}

func TestFailingHooks(t *testing.T) {
	fails, _ := script(t, `echo no >&2; exit 3`)
	crashes, _ := script(t, `kill -SEGV $$`)
	gone, _ := script(t, ``)
	hs := open(t, Config{Path: fails, Timeout: time.Second}, Config{Path: crashes, Timeout: time.Second}, Config{Path: gone, Timeout: time.Second})
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	hs.Tell(role(1))
	if err := hs.Close(5 * time.Second); err != nil {
		t.Fatal(err)
	}
	for i, s := range hs.Status() {
		if s.Failed != 1 || s.Runs != 1 {
			t.Errorf("hook %d: %+v", i, s)
		}
	}
	if _, err := Open([]Config{{Path: "/nowhere"}}, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("an absent hook is accepted")
	}
}
