package bpf

import (
	"errors"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"onebeat/mirror/lane"
)

// endingThread runs f on a thread that ends with it: a goroutine that ends while
// it is locked takes its thread along, but for the process's first.
func endingThread(f func()) {
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() != os.Getpid() {
			f()
			return
		}
		elsewhere := make(chan struct{})
		endingThread(func() {
			close(elsewhere)
			f()
		})
		<-elsewhere
		runtime.UnlockOSThread()
	}()
}

// The kernel notes the end of an engine's thread at once, of no other thread,
// and not once the thread has left.
func TestEngineDeathIsNoted(t *testing.T) {
	k := load(t, pinDir(t), ringBytes)
	defer closeKernel(t, k)
	table := lane.At(k.Lane(laneID))
	thread := func(f func() error) {
		t.Helper()
		done := make(chan error)
		endingThread(func() { done <- f() })
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	dead := func() bool {
		for range 200 {
			if atomic.LoadUint64(&table.Watch.DeadNs) != 0 {
				return true
			}
			time.Sleep(time.Millisecond)
		}
		return false
	}
	thread(func() error { return nil })
	thread(func() error {
		if err := k.EnterEngine(laneID); err != nil {
			return err
		}
		return k.LeaveEngine(laneID)
	})
	if dead() {
		t.Error("the end of a thread that is no engine was noted")
	}
	thread(func() error { return k.EnterEngine(laneID) })
	if !dead() {
		t.Error("the engine's end was not noted")
	}
	thread(func() error {
		if err := k.EnterEngine(laneID); err != nil {
			return err
		}
		if table.Watch.DeadNs != 0 {
			t.Error("a new engine is still taken for dead")
		}
		return k.LeaveEngine(laneID)
	})
}

// One thread may be the engine of several lanes: its end is the end of all of
// them, and of no other.
func TestEngineOfSeveralLanesDies(t *testing.T) {
	k := load(t, pinDir(t), ringBytes)
	defer closeKernel(t, k)
	entered, ended := make(chan error), make(chan struct{})
	hold, held := make(chan struct{}), make(chan error)
	engine := func(done chan<- error, until <-chan struct{}, lanes ...int) {
		var errs []error
		for _, id := range lanes {
			errs = append(errs, k.EnterEngine(id))
		}
		done <- errors.Join(errs...)
		<-until
	}
	endingThread(func() { engine(entered, ended, 0, 3, Lanes-1) })
	endingThread(func() { engine(held, hold, 1) })
	defer close(hold)
	if err := errors.Join(<-entered, <-held); err != nil {
		t.Fatal(err)
	}
	close(ended)
	for _, c := range []struct {
		lane int
		dead bool
	}{{0, true}, {3, true}, {Lanes - 1, true}, {1, false}, {2, false}} {
		table := lane.At(k.Lane(c.lane))
		for range 200 {
			if atomic.LoadUint64(&table.Watch.DeadNs) != 0 == c.dead {
				break
			}
			time.Sleep(time.Millisecond)
		}
		if dead := atomic.LoadUint64(&table.Watch.DeadNs) != 0; dead != c.dead {
			t.Errorf("lane %d: dead %v, want %v", c.lane, dead, c.dead)
		}
	}
}
