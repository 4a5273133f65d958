package track

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"onebeat/mirror/child"
)

// Config is one check. Exactly one of Interface, Process, PIDFile and Script is
// set.
type Config struct {
	Name      string
	Interface string
	Process   string // name, as in /proc/<pid>/comm, or of the executable
	PIDFile   string
	Script    string
	Args      []string

	Interval   time.Duration
	Timeout    time.Duration // of a script
	Weight     int           // what it adds to the score while it is down
	Rise, Fall int
}

// Kind says what is looked at.
func (c *Config) Kind() string {
	switch {
	case c.Interface != "":
		return "interface"
	case c.Process != "", c.PIDFile != "":
		return "process"
	}
	return "script"
}

// look takes one look; nil is good.
func (c *Config) look(ctx context.Context) error {
	switch {
	case c.PIDFile != "":
		return pidFileAlive(c.PIDFile)
	case c.Process != "":
		return processAlive(c.Process)
	}
	r, err := child.Run(ctx, child.Spec{Path: c.Script, Args: c.Args, Limit: c.Timeout})
	if err != nil {
		return err
	}
	if r.Exit != 0 {
		return fmt.Errorf("ended with %d: %s", r.Exit, child.Line(r.Output))
	}
	return nil
}

// ErrNoProcess means that a process is not there.
var ErrNoProcess = errors.New("no such process")

// commBytes is how much of a name the kernel keeps (TASK_COMM_LEN less one).
const commBytes = 15

func processAlive(name string) error {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return err
	}
	comm := name[:min(len(name), commBytes)]
	for _, e := range entries {
		if e.Name()[0] < '0' || e.Name()[0] > '9' {
			continue
		}
		dir := filepath.Join("/proc", e.Name())
		if zombie(dir) {
			continue
		}
		if b, err := os.ReadFile(filepath.Join(dir, "comm")); err == nil && strings.TrimSuffix(string(b), "\n") == comm {
			return nil
		}
		b, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		first, _, _ := bytes.Cut(b, []byte{0})
		if err == nil && filepath.Base(string(first)) == name {
			return nil
		}
	}
	return fmt.Errorf("%w: %s", ErrNoProcess, name)
}

// zombie is true for a process that is dead and not yet reaped.
func zombie(dir string) bool {
	b, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return true
	}
	// The name in parentheses may hold anything, so the last one counts.
	rest := string(b[bytes.LastIndexByte(b, ')')+1:])
	fields := strings.Fields(rest)
	return len(fields) > 0 && (fields[0] == "Z" || fields[0] == "X")
}

func pidFileAlive(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid <= 0 {
		return fmt.Errorf("%s holds no pid", path)
	}
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	if _, err := os.Stat(dir); err != nil || zombie(dir) {
		return fmt.Errorf("%w: %d of %s", ErrNoProcess, pid, path)
	}
	return nil
}
