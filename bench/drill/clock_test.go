package drill

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"onebeat/bench/lab/labtest"
)

// TestMain is also the process whose clock is set: with an argument of its own
// it tells both its clocks, for each line it reads.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "tell-clocks" {
		begin := time.Now()
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			fmt.Println(time.Now().Unix(), int64(time.Since(begin)))
		}
		return
	}
	os.Exit(m.Run())
}

// The wall clock of one process jumps; its monotonic clock and everybody else's
// wall clock do not.
func TestWallClock(t *testing.T) {
	labtest.NeedRoot(t)
	c := exec.Command(os.Args[0], "tell-clocks")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		in.Close()
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
	}()
	lines := bufio.NewReader(out)
	tell := func() (wall, elapsedNs int64) {
		fmt.Fprintln(in)
		if _, err := fmt.Fscan(lines, &wall, &elapsedNs); err != nil {
			t.Fatal(err)
		}
		return wall, elapsedNs
	}
	tell()
	clock, err := takeWallClock(c.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	last := int64(0)
	for _, ahead := range []time.Duration{0, time.Hour, 0, -time.Hour, 0} {
		if err := clock.set(ahead); err != nil {
			t.Fatal(err)
		}
		wall, elapsedNs := tell()
		if off := wall - time.Now().Unix() - int64(ahead/time.Second); off < -1 || off > 1 {
			t.Errorf("set %v ahead, the process is %d s off that", ahead, off)
		}
		if elapsedNs < last || elapsedNs > int64(time.Minute) {
			t.Errorf("the monotonic clock went from %d to %d ns", last, elapsedNs)
		}
		last = elapsedNs
	}
}
