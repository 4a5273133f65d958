package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/vishvananda/netns"
)

// reapTimeout is how long a killed process may take to give its memory back.
const reapTimeout = 5 * time.Second

// Down ends everything that runs in the lab and removes it. It goes on after
// an error, so that one leftover does not keep the others.
func (l *Lab) Down() error {
	var errs error
	// Pins first: a pinned link holds its program on a NIC beyond its process.
	errs = errors.Join(errs, l.killAll(), os.RemoveAll(l.PinDir))
	for _, place := range l.Places() {
		err := netns.DeleteNamed(l.Namespace(place))
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.EINVAL) {
			errs = errors.Join(errs, fmt.Errorf("remove namespace %s: %w", l.Namespace(place), err))
		}
		if err := os.Remove(l.netnsPath(place)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = errors.Join(errs, err)
		}
	}
	errs = errors.Join(errs, os.RemoveAll(l.RunDir))
	if errs != nil {
		return fmt.Errorf("take lab %s down: %w", l.Name, errs)
	}
	if err := os.Remove(statePath(l.dir, l.Name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// killAll ends the processes inside the lab's namespaces. They can only be the
// lab's own: nothing else is started there.
func (l *Lab) killAll() error {
	deadline := time.Now().Add(reapTimeout)
	for {
		pids := l.processes()
		if len(pids) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v do not end", pids)
		}
		for _, pid := range pids {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
				return fmt.Errorf("kill %d: %w", pid, err)
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// processes returns who lives in the lab's namespaces, this process excepted:
// one of its threads may be inside.
func (l *Lab) processes() []int {
	inside := map[[2]uint64]bool{}
	for _, place := range l.Places() {
		if id, ok := inodeOf(l.netnsPath(place)); ok {
			inside[id] = true
		}
	}
	if own, ok := inodeOf("/proc/self/ns/net"); ok {
		delete(inside, own) // an unmounted file here must not name our own
	}
	paths, _ := filepath.Glob("/proc/[0-9]*/ns/net")
	var pids []int
	for _, p := range paths {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(p))))
		if err != nil || pid == os.Getpid() {
			continue
		}
		// A zombie has no namespace any more: its link cannot be read.
		if id, ok := inodeOf(p); ok && inside[id] {
			pids = append(pids, pid)
		}
	}
	return pids
}

func inodeOf(path string) ([2]uint64, bool) {
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		return [2]uint64{}, false
	}
	return [2]uint64{st.Dev, st.Ino}, true
}
