package pin

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// policy of the calling thread, as the kernel has it.
func policyNow(t *testing.T) uint32 {
	t.Helper()
	attr, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	return attr.Policy
}

// A thread in the background leaves and enters its class again, whoever says so, and is
// given back as it was.
func TestBackground(t *testing.T) {
	if !mayPromote() {
		b := LockBackground()
		defer b.Unlock()
		if got := policyNow(t); got != unix.SCHED_NORMAL {
			t.Errorf("policy %d of who could not leave it", got)
		}
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := LockBackground()
		check := func(when string, want uint32) {
			if got := policyNow(t); got != want {
				t.Errorf("%s: policy %d, want %d", when, got, want)
			}
		}
		check("locked", schedIdle)
		hurried := make(chan struct{})
		go func() {
			b.Hurry(true)
			close(hurried)
		}()
		<-hurried
		check("hurried", unix.SCHED_NORMAL)
		b.Hurry(false)
		check("not any more", schedIdle)
		b.Unlock()
		check("unlocked", unix.SCHED_NORMAL)
	}()
	<-done
}

func TestSleep(t *testing.T) {
	began := time.Now()
	for range 3 { // a signal may end one of them
		Sleep(2 * time.Millisecond)
	}
	if took := time.Since(began); took < 2*time.Millisecond {
		t.Errorf("slept %v", took)
	}
}
