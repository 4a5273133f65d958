package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"onebeat/tools/config"
)

// ErrRunning means that another process is this node.
var ErrRunning = errors.New("the node is running")

// lock makes this process the only one of its name: two engines on one ring
// would both write it. The kernel drops the lock with the process.
func lock(c *config.Config) (*os.File, error) {
	if err := os.MkdirAll(c.Node.RunDir, 0o755); err != nil {
		return nil, fmt.Errorf("run directory: %w", err)
	}
	path := filepath.Join(c.Node.RunDir, c.Node.Name+".lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder := make([]byte, 32)
		n, _ := f.ReadAt(holder, 0)
		return nil, errors.Join(fmt.Errorf("%w as process %s (%s): stop it first, or kill it if it hangs: its kernel has given the lane away by then",
			ErrRunning, strings.TrimSpace(string(holder[:n])), path), f.Close())
	}
	if err := f.Truncate(0); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if _, err := fmt.Fprintf(f, "%d\n", os.Getpid()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// unlock gives the name back. Closing the file alone would leave the lock with
// every child that was forked a moment ago and has not yet become the check, the
// hook or the agent it is to be.
func unlock(f *os.File) error {
	return errors.Join(unix.Flock(int(f.Fd()), unix.LOCK_UN), f.Close())
}
