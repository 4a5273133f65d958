package pin

import (
	"testing"

	"golang.org/x/sys/unix"
)

// A gentle thread weighs less, and is given back as it was.
func TestGentle(t *testing.T) {
	read := func() (nice int32, slice uint64) {
		attr, err := unix.SchedGetAttr(0, 0)
		if err != nil {
			t.Error(err)
			return 0, 0
		}
		return attr.Nice, attr.Runtime
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		outer := LockBackground() // holds the thread; and one of another class stays as it is
		defer outer.Unlock()
		outer.Hurry(true)
		nice, slice := read()
		unlock := LockGentle()
		if got, _ := read(); mayPromote() && nice < gentleNice && got != gentleNice {
			t.Errorf("nice %d, want %d", got, gentleNice)
		}
		unlock()
		if n, s := read(); n != nice || s != slice {
			t.Errorf("nice %d and a slice of %d ns afterwards, %d and %d before", n, s, nice, slice)
		}
	}()
	<-done
}
