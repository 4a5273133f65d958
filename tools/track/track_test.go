package track

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"onebeat/bench/lab"
	"onebeat/bench/lab/labtest"
)

func TestRiseAndFall(t *testing.T) {
	s := state{rise: 2, fall: 3}
	var got strings.Builder
	for _, r := range "....xx.xxx.x..xx.x.xxx" {
		if s.result(r == '.') {
			got.WriteByte('!')
		}
		got.WriteByte(map[bool]byte{true: 'D', false: 'U'}[s.down])
	}
	if want := "UUUUUUUUU!DDDD!UUUUUUUU!D"; got.String() != want {
		t.Errorf("got  %s\nwant %s", got.String(), want)
	}
	once := state{rise: 1, fall: 1}
	if !once.result(false) || !once.result(true) {
		t.Error("rise and fall of 1 change with each result")
	}
}

func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "check")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t *testing.T, cfgs []Config, interfaces ...string) (*Tracker, *atomic.Int64) {
	t.Helper()
	changes := new(atomic.Int64)
	tr, err := Open(cfgs, interfaces, func() { changes.Add(1) }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
	return tr, changes
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 10 s", what)
		}
	}
}

const often = 20 * time.Millisecond

func TestScriptCheck(t *testing.T) {
	flag := filepath.Join(t.TempDir(), "bad")
	tr, changes := open(t, []Config{{Name: "db", Script: script(t, `[ ! -e "$1" ] || { echo "no database"; exit 4; }`), Args: []string{flag},
		Interval: often, Timeout: time.Second, Weight: 70, Rise: 2, Fall: 3}})
	until(t, "looks", func() bool { return tr.Status()[0].Looks > 3 })
	if len(tr.Down()) != 0 || changes.Load() != 0 {
		t.Errorf("down: %+v", tr.Down())
	}
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	until(t, "down", func() bool { return len(tr.Down()) == 1 })
	if d := tr.Down()[0]; d.Name != "db" || d.Weight != 70 || !strings.Contains(d.Why, "ended with 4: no database") {
		t.Errorf("%+v", d)
	}
	if s := tr.Status()[0]; s.Up || s.Bad < 3 || s.Why == "" {
		t.Errorf("%+v", s)
	}
	if err := os.Remove(flag); err != nil {
		t.Fatal(err)
	}
	until(t, "up", func() bool { return tr.Status()[0].Up })
	if changes.Load() != 2 {
		t.Errorf("%d changes", changes.Load())
	}
}

// TestHangingScript: a check that does not answer is a bad result, and does not
// pile up.
func TestHangingScript(t *testing.T) {
	tr, _ := open(t, []Config{{Name: "hang", Script: script(t, "sleep 1000"), Interval: often, Timeout: 50 * time.Millisecond, Weight: 1, Rise: 1, Fall: 2}})
	until(t, "down", func() bool { return len(tr.Down()) == 1 })
	if d := tr.Down()[0]; !strings.Contains(d.Why, "time limit") {
		t.Errorf("%+v", d)
	}
}

func TestProcessChecks(t *testing.T) {
	name := fmt.Sprintf("ob-test-%d-with-a-long-name", os.Getpid())
	path := filepath.Join(t.TempDir(), name)
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(sleep)
	if err == nil {
		err = os.WriteFile(path, b, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	pidFile := filepath.Join(t.TempDir(), "pid")
	tr, _ := open(t, []Config{
		{Name: "name", Process: name, Interval: often, Weight: 1, Rise: 1, Fall: 1},
		{Name: "pid", PIDFile: pidFile, Interval: often, Weight: 1, Rise: 1, Fall: 1}})
	until(t, "absent", func() bool { return len(tr.Down()) == 2 })
	c := exec.Command(path, "1000")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { c.Process.Kill(); c.Wait() }()
	if err := os.WriteFile(pidFile, []byte(fmt.Sprintln(c.Process.Pid)), 0o600); err != nil {
		t.Fatal(err)
	}
	until(t, "there", func() bool { return len(tr.Down()) == 0 })
	// Killed and not reaped: a zombie is dead.
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	until(t, "gone", func() bool { return len(tr.Down()) == 2 })
	if err := os.WriteFile(pidFile, []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	until(t, "no pid", func() bool { return strings.Contains(tr.Status()[1].Why, "holds no pid") })
}

// TestCarrier: the kernel tells, nobody polls.
func TestCarrier(t *testing.T) {
	l := labtest.Up(t, lab.Pair)
	var tr *Tracker
	var changes *atomic.Int64
	if err := l.Do(lab.NodeA, func() error {
		tr, changes = open(t, []Config{{Name: "order", Interface: lab.OrderNIC, Weight: 100, Rise: 1, Fall: 1}}, lab.LinkNIC)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	set := func(up bool) {
		t.Helper()
		if err := l.SetCarrier(lab.Client, lab.OrderNIC, up); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "known", func() bool { return tr.Up(lab.OrderNIC) && tr.Up(lab.LinkNIC) })
	time.Sleep(50 * time.Millisecond)
	if changes.Load() != 0 || len(tr.Down()) != 0 {
		t.Fatalf("%d changes, down %+v", changes.Load(), tr.Down())
	}
	before := time.Now()
	set(false)
	until(t, "lost", func() bool { return len(tr.Down()) == 1 && !tr.Up(lab.OrderNIC) })
	if took := time.Since(before); took > 200*time.Millisecond {
		t.Errorf("noticed %v after the carrier was taken", took)
	}
	if !tr.Up(lab.LinkNIC) || tr.Down()[0].Why != "no carrier" {
		t.Errorf("link up %v, %+v", tr.Up(lab.LinkNIC), tr.Down())
	}
	set(true)
	until(t, "back", func() bool { return len(tr.Down()) == 0 })
	for range 2 {
		set(false)
		until(t, "lost", func() bool { return !tr.Up(lab.OrderNIC) })
		set(true)
		until(t, "back", func() bool { return tr.Up(lab.OrderNIC) })
	}
	if name, n := tr.Flaps(); name != lab.OrderNIC || n != 3 {
		t.Errorf("%d flaps of %s", n, name)
	}
}

func TestLookAllocatesNothing(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	g := newGlink(fd, "lo")
	if n := testing.AllocsPerRun(100, func() {
		if g.lost() {
			t.Error("loopback has no carrier")
		}
	}); n != 0 {
		t.Errorf("%v allocations a look", n)
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, c := range []Config{{Name: "x", Script: "/nowhere"}, {Name: "x", Interface: "nowhere0"}} {
		if _, err := Open([]Config{c}, nil, func() {}, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "nowhere") {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestLag(t *testing.T) {
	var l Lag
	now := time.Now()
	var tail, acked atomic.Uint64
	tail.Store(64)
	acked.Store(64)
	l.Sample(tail.Load, acked.Load)
	if l.count != 0 {
		t.Error("a sample of nothing")
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		for ctx.Err() == nil {
			end := tail.Load()
			time.Sleep(2 * time.Millisecond)
			acked.Store(end)
		}
	}()
	for range 2 * lagLeast {
		tail.Add(64)
		l.Sample(tail.Load, acked.Load)
	}
	// A busy machine ends the waiting late, too.
	if ns := l.Ns(time.Now()); ns < 300_000 || ns > 50*LagLimit.Nanoseconds() {
		t.Errorf("lag %d ns", ns)
	}
	if l.Ns(now.Add(time.Minute)) != 0 {
		t.Error("old samples count")
	}
}

func TestLate(t *testing.T) {
	var l Late
	now := time.Unix(1000, 0)
	share := 0.0
	for i := range 300 { // 30 s; 1 ms ticks, one in ten late
		share = l.Observe(uint64(i*10), time.Millisecond, now.Add(time.Duration(i)*100*time.Millisecond))
	}
	if share < 0.09 || share > 0.11 {
		t.Errorf("share %v", share)
	}
	for i := 300; i < 600; i++ {
		share = l.Observe(3000, time.Millisecond, now.Add(time.Duration(i)*100*time.Millisecond))
	}
	if share != 0 {
		t.Errorf("share %v long after", share)
	}
	if l.Observe(0, time.Millisecond, now.Add(time.Hour)) != 0 {
		t.Error("a counter that starts anew")
	}
}
