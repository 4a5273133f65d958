package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"onebeat/pin"
)

// netnsDir is where `ip netns` and package netns keep named namespaces.
const netnsDir = "/run/netns"

// makeNamespace makes a place: a named network namespace with loopback up and
// no IPv6, whose router solicitations would be strange frames to a test.
func (l *Lab) makeNamespace(place string) error {
	err := onThread(func(netns.NsHandle) error {
		ns, err := netns.NewNamed(l.Namespace(place))
		if err != nil {
			return err
		}
		defer ns.Close()
		for _, scope := range []string{"all", "default"} {
			err := os.WriteFile("/proc/sys/net/ipv6/conf/"+scope+"/disable_ipv6", []byte("1"), 0)
			if err != nil && !errors.Is(err, fs.ErrNotExist) { // a kernel without IPv6
				return err
			}
		}
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		return netlink.LinkSetUp(lo)
	})
	if err != nil {
		return fmt.Errorf("namespace %s: %w", l.Namespace(place), err)
	}
	return nil
}

// Do runs f on a thread inside a place's namespace. Sockets that f opens stay
// there; goroutines that f starts do not run there.
func (l *Lab) Do(place string, f func() error) error {
	if err := l.known(place); err != nil {
		return err
	}
	return onThread(func(netns.NsHandle) error {
		ns, err := netns.GetFromPath(l.netnsPath(place))
		if err != nil {
			return fmt.Errorf("open namespace of %s: %w", place, err)
		}
		defer ns.Close()
		if err := netns.Set(ns); err != nil {
			return fmt.Errorf("enter namespace of %s: %w", place, err)
		}
		return f()
	})
}

// onThread runs f on a thread of its own and brings the thread back to where
// it came from.
func onThread(f func(origin netns.NsHandle) error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		origin, err := netns.Get()
		if err != nil {
			runtime.UnlockOSThread()
			done <- err
			return
		}
		defer origin.Close()
		err = f(origin)
		if back := netns.Set(origin); back != nil {
			// The thread stays locked and dies with this goroutine: it must
			// not run anything else in a foreign namespace.
			done <- errors.Join(err, fmt.Errorf("leave namespace: %w", back))
			return
		}
		runtime.UnlockOSThread()
		done <- err
	}()
	return <-done
}

// Command returns a command that Start starts in a place. It has a process
// group of its own, so that a Ctrl-C reaches only who started the lab.
func (l *Lab) Command(place, program string, args ...string) *Command {
	c := &Command{Cmd: exec.Command(program, args...), lab: l, place: place}
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return c
}

// Command is an exec.Cmd whose process lives in a place.
type Command struct {
	*exec.Cmd
	// Nice is the process's priority, -20 to 19.
	Nice int
	// Background: it takes what others leave of the cores (pin.LockBackground).
	Background bool

	lab   *Lab
	place string
}

// Start starts it: a child is born in the namespace and with the priority of
// the thread that forks.
func (c *Command) Start() error {
	return c.lab.Do(c.place, func() error {
		if c.Background {
			thread := pin.LockBackground()
			defer thread.Unlock()
		}
		if c.Nice == 0 {
			return c.Cmd.Start()
		}
		// On Linux a priority belongs to a thread; 0 is the calling one.
		if err := unix.Setpriority(unix.PRIO_PROCESS, 0, c.Nice); err != nil {
			return fmt.Errorf("priority %d: %w", c.Nice, err)
		}
		return errors.Join(c.Cmd.Start(), unix.Setpriority(unix.PRIO_PROCESS, 0, 0))
	})
}

// Run starts it and waits for its end.
func (c *Command) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Exec starts a program in a place, its output on this process's stderr.
func (l *Lab) Exec(place, program string, args ...string) (*Command, error) {
	c := l.Command(place, program, args...)
	c.Stdout, c.Stderr = os.Stderr, os.Stderr
	return c, c.Start()
}

// SetCarrier takes a place's NIC down or up again; its cable's other end sees
// the carrier go and come.
func (l *Lab) SetCarrier(place, nic string, up bool) error {
	return l.Do(place, func() error {
		link, err := netlink.LinkByName(nic)
		if err != nil {
			return fmt.Errorf("%s/%s: %w", place, nic, err)
		}
		if up {
			return netlink.LinkSetUp(link)
		}
		return netlink.LinkSetDown(link)
	})
}
