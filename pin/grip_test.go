package pin

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// sleepsOf is how often a thread has slept.
func sleepsOf(t *testing.T, tid int) (n int) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/status", tid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "voluntary_ctxt_switches:"); ok {
			if _, err := fmt.Sscan(v, &n); err != nil {
				t.Fatal(err)
			}
		}
	}
	return n
}

// spinning runs duty cycles on a thread of its own until end.
func spinning(grip *Grip) (tid int, end func()) {
	var stop atomic.Bool
	tids, ended := make(chan int), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		tids <- unix.Gettid()
		defer grip.Release()
		for begin := time.Now(); !stop.Load(); {
			dutyCycle(grip, int64(time.Since(begin)))
		}
	}()
	return <-tids, func() { stop.Store(true); <-ended }
}

//go:noinline
func dutyCycle(grip *Grip, nowNs int64) {
	if grip != nil {
		grip.Cycle(nowNs)
	}
}

// The monitor takes a loop off its thread each 10 to 20 ms, and 15 times less often one
// that has a grip.
func TestGripHolds(t *testing.T) {
	if runtime.GOMAXPROCS(0) < 2 {
		t.Skip("nobody else could run")
	}
	tid, end := spinning(new(Grip))
	defer end()
	before := sleepsOf(t, tid)
	const long = 2 * time.Second // 100 times without
	time.Sleep(long)
	if n := sleepsOf(t, tid) - before; n > 50 {
		t.Errorf("the loop left its thread %d times in %v", n, long)
	}
}

// The world can be stopped: a collection does it several times.
func TestGripLetsGo(t *testing.T) {
	_, end := spinning(new(Grip))
	defer end()
	for range 5 {
		done := make(chan struct{})
		go func() {
			runtime.GC()
			close(done)
		}()
		select {
		case <-done:
		case <-time.After(20 * time.Second): // some 20 ms, on a machine that has time
			t.Fatal("the loop does not let the world be stopped")
		}
	}
}

func TestGripReleases(t *testing.T) {
	var none *Grip
	none.Release()
	var g Grip
	g.Cycle(1)
	if !g.held {
		t.Error("a first cycle does not hold")
	}
	g.Cycle(gripNs)
	if !g.held {
		t.Error("it lets go too early")
	}
	g.Cycle(gripNs + 1)
	if g.held {
		t.Error("it does not let go")
	}
	g.Cycle(gripNs + openNs + 1)
	if !g.held {
		t.Error("it does not hold again")
	}
	g.Release()
	if g.held {
		t.Error("it is not released")
	}
	g.Cycle(gripNs + openNs + 2)
	if !g.held {
		t.Error("it does not hold after a release")
	}
	g.Release()
	runtime.Gosched() // would end the process if it were pinned
}
