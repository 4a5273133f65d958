package child

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// ErrTimeout means that the program was killed at its time limit.
var ErrTimeout = errors.New("did not end within its time limit")

const (
	// outputMaxBytes of stdout and of stderr are kept; the rest is read and
	// dropped, so that a chatty program does not block.
	outputMaxBytes = 256 << 10
	// lineMaxBytes of an output go into a log.
	lineMaxBytes = 1 << 10
	// pipesWait is how long a grandchild that escaped the group may hold the
	// output open.
	pipesWait = 500 * time.Millisecond

	defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// Spec is one run of a program.
type Spec struct {
	Path  string // absolute
	Args  []string
	Stdin []byte
	Env   []string // more than PATH and LANG
	Limit time.Duration
}

// Result is how a run ended.
type Result struct {
	Exit      int // of the program; -1: it was killed or did not start
	Stdout    []byte
	Output    []byte // stdout, then stderr
	Truncated bool
	Took      time.Duration
}

// Run runs a program to its end, at most Limit, or until ctx ends. An exit
// status that is not 0 is no error: what it means is for the caller.
func Run(ctx context.Context, s Spec) (Result, error) {
	limit, cancel := context.WithTimeout(ctx, s.Limit)
	defer cancel()
	var stdout, stderr limited
	c := exec.CommandContext(limit, s.Path, s.Args...)
	c.Dir = "/"
	c.Stdin, c.Stdout, c.Stderr = bytes.NewReader(s.Stdin), &stdout, &stderr
	c.Env = append(environment(), s.Env...)
	// It dies with this process: an agent that outlived its node could take a
	// power that nobody wants gone any more. The kernel takes the death of the
	// thread that started it for that (prctl(2), PR_SET_PDEATHSIG), so the thread stays.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	c.WaitDelay = pipesWait
	began := time.Now()
	err := c.Run()
	if c.Process != nil {
		// What it left running in its group goes with it.
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
	}
	r := Result{Exit: -1, Stdout: stdout.kept, Output: append(stdout.kept[:len(stdout.kept):len(stdout.kept)], stderr.kept...),
		Truncated: stdout.truncated || stderr.truncated, Took: time.Since(began)}
	var exit *exec.ExitError
	switch {
	case limit.Err() != nil && ctx.Err() == nil && c.ProcessState != nil && !c.ProcessState.Exited():
		return r, fmt.Errorf("%s: %w of %v", s.Path, ErrTimeout, s.Limit)
	case ctx.Err() != nil:
		return r, fmt.Errorf("%s: %w", s.Path, ctx.Err())
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		r.Exit = c.ProcessState.ExitCode()
		return r, nil
	case errors.As(err, &exit):
		if r.Exit = exit.ExitCode(); r.Exit < 0 {
			return r, fmt.Errorf("%s: %s", s.Path, exit.ProcessState)
		}
		return r, nil
	case errors.Is(err, syscall.EPIPE) && c.ProcessState != nil:
		// It ended without reading its input.
		r.Exit = c.ProcessState.ExitCode()
		return r, nil
	}
	return r, fmt.Errorf("start %s: %w", s.Path, err)
}

// environment is all that a program inherits.
func environment() []string {
	path := os.Getenv("PATH")
	if path == "" {
		path = defaultPath
	}
	return []string{"PATH=" + path, "LANG=C.UTF-8"}
}

// Executable refuses a path that cannot be run.
func Executable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
		return fmt.Errorf("%s (mode %v) is not an executable file", path, info.Mode())
	}
	return nil
}

// Line is an output on one line, for a log.
func Line(output []byte) string {
	output = output[:min(len(output), lineMaxBytes)]
	return strings.Join(strings.FieldsFunc(string(output), func(r rune) bool { return r == '\n' || r == '\r' }), " | ")
}

// limited keeps the first bytes written to it.
type limited struct {
	kept      []byte
	truncated bool
}

func (l *limited) Write(b []byte) (int, error) {
	room := outputMaxBytes - len(l.kept)
	if len(b) > room {
		l.truncated = true
	}
	l.kept = append(l.kept, b[:min(len(b), room)]...)
	return len(b), nil
}
