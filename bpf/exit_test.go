package bpf

import (
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"onebeat/mirror/lane"
)

// The kernel notes the end of an engine's thread at once, of no other thread,
// and not once the thread has left.
func TestEngineDeathIsNoted(t *testing.T) {
	k := load(t, pinDir(t), ringBytes)
	defer closeKernel(t, k)
	table := lane.At(k.Lane(laneID))
	// A goroutine that ends while it is locked takes its thread with it.
	thread := func(f func() error) {
		t.Helper()
		done, finished := make(chan error), make(chan struct{})
		defer close(finished)
		locked := func() {
			runtime.LockOSThread()
			done <- f()
		}
		go func() {
			runtime.LockOSThread()
			if unix.Gettid() != os.Getpid() {
				locked()
				return
			}
			// The process's first thread ends with it only: it is kept out of the way.
			go locked()
			<-finished
		}()
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
