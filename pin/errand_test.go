package pin

import (
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// On a core that somebody spins on an errand goes on, in small pieces; alone it runs in
// the background and is not helped.
func TestErrand(t *testing.T) {
	if !mayPromote() {
		t.Log("threads cannot leave the background here: an errand is an ordinary thread")
	}
	before := runtime.GOMAXPROCS(4)
	defer runtime.GOMAXPROCS(before)
	var stop atomic.Bool
	spinning := make(chan struct{})
	go func() {
		defer close(spinning)
		unlock, err := LockThread(mustCore(t))
		if err != nil {
			t.Error(err)
			return
		}
		defer unlock()
		for !stop.Load() {
		}
	}()
	done := make(chan int)
	go func() {
		var whole unix.CPUSet
		_ = unix.SchedGetaffinity(0, &whole)
		e := StartErrand()
		var one unix.CPUSet
		one.Set(mustCore(t))
		_ = unix.SchedSetaffinity(0, &one)
		small := 0
		for began, pieces := time.Now(), 0; pieces < 20 || small == 0 && time.Since(began) < 5*time.Second; pieces++ {
			if e.Piece() {
				small++
			}
			for piece := time.Now(); time.Since(piece) < 500*time.Microsecond; {
			}
		}
		_ = unix.SchedSetaffinity(0, &whole)
		e.End()
		done <- small
	}()
	var small int
	select {
	case small = <-done:
	case <-time.After(60 * time.Second):
		t.Fatal("it does not go on")
	}
	stop.Store(true)
	<-spinning
	if mayPromote() && small == 0 {
		t.Error("on a core that somebody spins on no piece had to be helped")
	}
}

func mustCore(t *testing.T) int {
	cores, err := AllowedCores()
	if err != nil {
		t.Error(err)
		return 0
	}
	return cores[0]
}

// What does not get less in a second is not left to what others leave.
func TestErrandThatIsLate(t *testing.T) {
	e := &Errand{thread: &Background{}}
	e.Left(100)
	e.since = e.since.Add(-errandWhole)
	if e.Left(100); !e.late {
		t.Error("100 left, a second later too: it is not late")
	}
	if e.Left(0); e.late {
		t.Error("nothing left, and late")
	}
	e.Left(100)
	e.since = e.since.Add(-errandWhole)
	if e.Left(99); e.late {
		t.Error("it got less, and is late")
	}
}

// A thread that sleeps wants nothing, one that runs does.
func TestLook(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	l, err := newLook(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	l.close()
	if l, err = newLook(unix.Gettid()); err != nil {
		t.Fatal(err)
	}
	defer l.close()
	a, runnable, err := l.at()
	for began := time.Now(); time.Since(began) < 10*time.Millisecond; {
	}
	b, _, _ := l.at()
	if err != nil || !runnable || b <= a {
		t.Errorf("%v; this thread runs: %v; it ran %d ns, then %d", err, runnable, a, b)
	}
}
