package peers

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain can be the parent that TestEchoEndsWithItsParent kills.
func TestMain(m *testing.M) {
	if path := os.Getenv("PEERS_TEST_PARENT"); path != "" {
		os.Exit(parent(path))
	}
	os.Exit(m.Run())
}

// parent starts an echo in the namespace it was started in, prints the echo's
// process id and waits to be killed.
func parent(path string) int {
	echo := NewCEcho(&Program{path: path})
	if err := echo.Start(env(1)); err != nil {
		os.Stdout.WriteString(err.Error() + "\n")
		return 1
	}
	os.Stdout.WriteString(strconv.Itoa(echo.cmd.Process.Pid) + "\n")
	time.Sleep(time.Minute)
	return 0
}

func TestEchoEndsWithItsParent(t *testing.T) {
	program := build(t)
	c := newCable(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "PEERS_TEST_PARENT="+program.path)
	out, err := cmd.StdoutPipe()
	c.must(err)
	c.in(1, func() { c.must(cmd.Start()) })
	line := make([]byte, 4096)
	n, err := out.Read(line)
	c.must(err)
	c.must(cmd.Process.Kill())
	_ = cmd.Wait() // killed: that is what it says
	pid, err := strconv.Atoi(strings.TrimSpace(string(line[:n])))
	if err != nil {
		t.Fatalf("no echo: %s", line[:n])
	}
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if gone(pid) {
			return
		}
	}
	t.Errorf("echo %d outlives its parent", pid)
	_ = syscall.Kill(pid, syscall.SIGKILL)
}

// gone says that a process has ended; a zombie that nobody reaps has too.
func gone(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return true
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(after, "Z")
}
