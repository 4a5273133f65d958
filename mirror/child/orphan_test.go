package child

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestNothingOutlivesItsParent: a fence agent whose node was killed takes no
// power any more.
func TestNothingOutlivesItsParent(t *testing.T) {
	if path := os.Getenv("ONEBEAT_CHILD_TEST"); path != "" {
		_, _ = Run(context.Background(), Spec{Path: path, Limit: time.Minute})
		return
	}
	pidFile := t.TempDir() + "/pid"
	c := exec.Command(os.Args[0], "-test.run", "^TestNothingOutlivesItsParent$")
	c.Env = append(os.Environ(), "ONEBEAT_CHILD_TEST="+script(t, "echo $$ > "+pidFile+".new; mv "+pidFile+".new "+pidFile+"; exec sleep 1000"))
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	pid := 0
	for deadline := time.Now().Add(10 * time.Second); pid == 0; time.Sleep(5 * time.Millisecond) {
		if f, err := os.Open(pidFile); err == nil {
			line, _ := bufio.NewReader(f).ReadString('\n')
			pid, _ = strconv.Atoi(strings.TrimSpace(line))
			f.Close()
		}
		if time.Now().After(deadline) {
			t.Fatal("it does not start")
		}
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	for deadline := time.Now().Add(10 * time.Second); alive(pid); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			t.Fatalf("process %d lives on", pid)
		}
	}
}
