package archive

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrLocked means that another process writes an archive.
var ErrLocked = errors.New("another process archives there")

// lockSuffix ends the name of the file beside an archive's directory whose lock is
// its writer's.
const lockSuffix = ".lock"

// Lock makes this process the only writer of an archive, until release is called
// or the process ends. It is of the machine's own filesystem.
func Lock(dir string) (release func() error, err error) {
	path := filepath.Clean(dir) + lockSuffix
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder := make([]byte, 32)
		n, _ := f.ReadAt(holder, 0)
		return nil, errors.Join(fmt.Errorf("%w: process %s holds %s: archive.by says who shall write it, \"node\" or \"mirrord\"",
			ErrLocked, strings.TrimSpace(string(holder[:n])), path), f.Close())
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = fmt.Fprintf(f, "%d\n", os.Getpid())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("archive: %w", err), f.Close())
	}
	// Closing alone would leave the lock with a child that is just being forked.
	return func() error { return errors.Join(unix.Flock(int(f.Fd()), unix.LOCK_UN), f.Close()) }, nil
}

// written reports whether some process holds the lock of an archive now, without
// touching it: who starts just then must find it free.
func written(dir string) bool {
	var st unix.Stat_t
	if unix.Stat(filepath.Clean(dir)+lockSuffix, &st) != nil {
		return false
	}
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		return true // who knows
	}
	inode := fmt.Sprintf(":%d", st.Ino)
	for line := range strings.Lines(string(locks)) { // "1: FLOCK ADVISORY WRITE <pid> <major>:<minor>:<inode> 0 EOF"
		if f := strings.Fields(line); len(f) > 5 && f[1] == "FLOCK" && strings.HasSuffix(f[5], inode) {
			return true
		}
	}
	return false
}
