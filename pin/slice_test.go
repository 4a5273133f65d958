package pin

import (
	"errors"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

func TestShortSlice(t *testing.T) {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // ends with the goroutine: the slice is its own
		err := ShortSlice(200_000)
		if err == nil {
			attr, e := unix.SchedGetAttr(0, 0)
			if e != nil || attr.Runtime != 200_000 {
				err = errors.Join(e, errors.New("the slice was not taken"))
			}
		}
		done <- err
	}()
	if err := <-done; err != nil && !errors.Is(err, ErrNoSlice) {
		t.Fatal(err)
	}
}
