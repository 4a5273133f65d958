package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

func statePath(dir, name string) string { return filepath.Join(dir, name+".json") }

// claim writes the state file before anything is built, so that whatever a
// crash leaves behind is known to the next Up.
func (l *Lab) claim() error {
	if err := os.MkdirAll(l.dir, 0o755); err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	b, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return err
	}
	// Written aside and linked: a reader never sees half a file, and two
	// processes cannot both have the name.
	f, err := os.CreateTemp(l.dir, ".new-*")
	if err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	if err := os.Link(f.Name(), statePath(l.dir, l.Name)); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%w: %s; take it down with `onebeat lab down --name %s`", ErrExists, l.Name, l.Name)
		}
		return fmt.Errorf("state file: %w", err)
	}
	return nil
}

// Open returns a lab that is up; dir "" is DefaultDir.
func Open(dir, name string) (*Lab, error) {
	if dir == "" {
		dir = DefaultDir
	}
	b, err := os.ReadFile(statePath(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s (looked in %s)", ErrUnknown, name, dir)
	}
	if err != nil {
		return nil, err
	}
	l := &Lab{dir: dir}
	if err := json.Unmarshal(b, l); err != nil {
		return nil, fmt.Errorf("state file of lab %s: %w", name, err)
	}
	return l, nil
}

// List returns the labs that are up.
func List(dir string) ([]*Lab, error) {
	if dir == "" {
		dir = DefaultDir
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	var labs []*Lab
	for _, p := range paths {
		l, err := Open(dir, strings.TrimSuffix(filepath.Base(p), ".json"))
		if err != nil {
			return labs, err
		}
		labs = append(labs, l)
	}
	return labs, nil
}

// Reap takes down the labs whose process is gone.
func Reap(dir string) error {
	labs, err := List(dir)
	for _, l := range labs {
		if l.OwnerPID != 0 && startOf(l.OwnerPID) != l.OwnerStart {
			err = errors.Join(err, l.Down())
		}
	}
	return err
}

// startOf returns when a process started, in clock ticks since boot (field 22
// of /proc/pid/stat), or 0 if there is none: a process id alone is reused.
func startOf(pid int) uint64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name in field 2 may hold anything, also spaces and parentheses.
	_, rest, _ := strings.Cut(string(b[max(strings.LastIndexByte(string(b), ')'), 0):]), " ")
	fields := strings.Fields(rest)
	const start = 22 - 3
	if len(fields) <= start {
		return 0
	}
	n, _ := strconv.ParseUint(fields[start], 10, 64)
	return n
}
