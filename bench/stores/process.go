package stores

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"onebeat/bench/lab"
)

const (
	// readyTimeout is how long servers may take to serve and to find each other.
	readyTimeout = 30 * time.Second
	stopTimeout  = 10 * time.Second
	pollEvery    = 20 * time.Millisecond
	// writeTimeout ends a measurement in which nothing is answered.
	writeTimeout = 10 * time.Second
)

// servers are the processes of a store and their files.
type servers struct {
	dir   string
	procs []*proc
}

type proc struct {
	name string
	cmd  *lab.Command
	log  string
	done chan struct{}
}

// MemoryDir is where peers keep their files: in memory where the machine has it, so
// that none waits for a disk.
func MemoryDir() string {
	const dir = "/dev/shm"
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return dir
	}
	return os.TempDir()
}

// makeDir makes the directory of the files.
func (s *servers) makeDir(name string) (err error) {
	s.dir, err = os.MkdirTemp(MemoryDir(), "onebeat-"+name+"-")
	if err != nil {
		return err
	}
	return os.Chmod(s.dir, 0o755)
}

// as is who a program runs as; nil: root.
type as = *syscall.Credential

// unprivileged is somebody who is not root: the database's own user, or nobody.
func unprivileged(names ...string) (as, error) {
	for _, name := range names {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, fmt.Errorf("none of the users %v exists", names)
}

// start starts a server in a place.
func (s *servers) start(l *lab.Lab, place, name string, who as, program string, args ...string) error {
	p := &proc{name: name, cmd: l.Command(place, program, args...), log: filepath.Join(s.dir, name+".log"), done: make(chan struct{})}
	f, err := os.Create(p.log)
	if err != nil {
		return err
	}
	defer f.Close()
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Dir = f, f, s.dir
	p.cmd.SysProcAttr.Credential = who
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	s.procs = append(s.procs, p)
	go func() {
		_ = p.cmd.Wait() // how it ended is in its log
		close(p.done)
	}()
	return nil
}

// run runs a program in a place to its end.
func (s *servers) run(l *lab.Lab, place string, who as, program string, args ...string) error {
	c := l.Command(place, program, args...)
	var out bytes.Buffer
	c.Stdout, c.Stderr, c.Dir = &out, &out, s.dir
	c.SysProcAttr.Credential = who
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(program), err, lastLines(out.Bytes()))
	}
	return nil
}

// until asks again and again until it is so, or a server has ended, or for too
// long.
func (s *servers) until(what string, ask func() error) error {
	deadline := time.Now().Add(readyTimeout)
	for {
		err := ask()
		if err == nil {
			return nil
		}
		for _, p := range s.procs {
			select {
			case <-p.done:
				b, _ := os.ReadFile(p.log)
				return fmt.Errorf("%s has ended: %s", p.name, lastLines(b))
			default:
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: not within %v: %w", what, readyTimeout, err)
		}
		time.Sleep(pollEvery)
	}
}

// stop ends the servers, the last one first, and removes the files.
func (s *servers) stop() error {
	var errs []error
	for i := len(s.procs) - 1; i >= 0; i-- {
		p := s.procs[i]
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		select {
		case <-p.done:
		case <-time.After(stopTimeout):
			errs = append(errs, fmt.Errorf("%s did not end within %v of SIGTERM and was killed", p.name, stopTimeout))
			_ = p.cmd.Process.Kill()
			<-p.done
		}
	}
	s.procs = nil
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
		s.dir = ""
	}
	return errors.Join(errs...)
}

// dial connects from a place.
func dial(l *lab.Lab, place, address string) (c net.Conn, err error) {
	err = l.Do(place, func() error {
		c, err = net.DialTimeout("tcp4", address, time.Second)
		return err
	})
	return c, err
}

// find looks a program up, also where Debian hides some.
func find(install string, names ...string) (string, error) {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", &Missing{Program: filepath.Base(names[0]), Install: install}
}

// lastLines is the end of a log, short enough for an error.
func lastLines(b []byte) string {
	const keep = 600
	return string(bytes.TrimSpace(b[max(0, len(b)-keep):]))
}
