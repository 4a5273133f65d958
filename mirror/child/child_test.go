package child

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// script writes a shell script.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRun(t *testing.T) {
	t.Setenv("SECRET_OF_THIS_PROCESS", "x")
	r, err := Run(context.Background(), Spec{Path: script(t, `cat; env; echo err >&2; exit 3`), Stdin: []byte("in\n"),
		Env: []string{"ONEBEAT_X=1"}, Limit: 5 * time.Second})
	if err != nil || r.Exit != 3 {
		t.Fatalf("%+v, %v", r, err)
	}
	text := string(r.Output)
	if !strings.HasPrefix(text, "in\n") || !strings.Contains(text, "ONEBEAT_X=1") || !strings.Contains(text, "err\n") {
		t.Errorf("output %q", text)
	}
	if strings.Contains(text, "SECRET") {
		t.Errorf("inherits the environment: %q", text)
	}
}

func TestInputThatNobodyReadsIsNoError(t *testing.T) {
	r, err := Run(context.Background(), Spec{Path: script(t, "exit 0"), Stdin: bytes.Repeat([]byte("x"), 1<<20), Limit: 5 * time.Second})
	if err != nil || r.Exit != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestTimeLimitKillsTheGroup: neither the program nor what it started lives on.
func TestTimeLimitKillsTheGroup(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	began := time.Now()
	r, err := Run(context.Background(), Spec{Path: script(t, `trap '' TERM
sleep 1000 & echo $! > `+pids+`
echo $$ >> `+pids+`
wait`), Limit: 200 * time.Millisecond})
	if !errors.Is(err, ErrTimeout) || r.Exit != -1 {
		t.Fatalf("%+v, %v", r, err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
	b, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range strings.Fields(string(b)) {
		pid, _ := strconv.Atoi(field)
		for deadline := time.Now().Add(2 * time.Second); alive(pid); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("process %d lives on", pid)
			}
		}
	}
}

// alive is false for a zombie that nobody has reaped yet.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(b), ") Z ")
}

// TestEscapedGrandchild: one that left the group and holds the output open does
// not hold up who waits.
func TestEscapedGrandchild(t *testing.T) {
	began := time.Now()
	r, err := Run(context.Background(), Spec{Path: script(t, `setsid sleep 3 & echo done`), Limit: 30 * time.Second})
	if err != nil || r.Exit != 0 || !strings.Contains(string(r.Output), "done") {
		t.Errorf("%+v, %v", r, err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestOutputIsBounded(t *testing.T) {
	r, err := Run(context.Background(), Spec{Path: script(t, `head -c 1000000 /dev/zero`), Limit: 5 * time.Second})
	if err != nil || len(r.Output) != outputMaxBytes || !r.Truncated {
		t.Errorf("%d bytes, %v", len(r.Output), err)
	}
}

func TestEndings(t *testing.T) {
	for _, c := range []struct{ name, script, want string }{
		{"signal", "kill -SEGV $$", "signal: segmentation fault"},
	} {
		if r, err := Run(context.Background(), Spec{Path: script(t, c.script), Limit: 5 * time.Second}); err == nil ||
			!strings.Contains(err.Error(), c.want) || r.Exit != -1 {
			t.Errorf("%s: %+v, %v", c.name, r, err)
		}
	}
	if _, err := Run(context.Background(), Spec{Path: "/nonexistent/x", Limit: time.Second}); err == nil || !strings.Contains(err.Error(), "start /nonexistent/x") {
		t.Error(err)
	}
	ended, cancel := context.WithCancel(context.Background())
	time.AfterFunc(100*time.Millisecond, cancel)
	if _, err := Run(ended, Spec{Path: script(t, "sleep 1000"), Limit: time.Minute}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := Executable(t.TempDir()); err == nil {
		t.Error("a directory is executable")
	}
	if Executable(script(t, "")) != nil {
		t.Error("a script is not")
	}
}
