package drill

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"syscall"
	"time"

	"onebeat/bench/lab"
	"onebeat/mirror/lane"
	"onebeat/tools/control"
)

const (
	readyTimeout   = 15 * time.Second
	stopTimeout    = 5 * time.Second
	controlTimeout = 5 * time.Second
	pollEvery      = 5 * time.Millisecond
	// niceness puts the lab's processes before whatever else the machine does:
	// a compiler next to it must not look like a hung engine.
	niceness = -20
)

// process is one process of a run.
type process struct {
	place string
	cmd   *lab.Command
	done  chan struct{} // closed when it has ended
	err   error         // valid then
	said  *prefixer     // its stderr; nil: not kept
}

// start runs `onebeat <args>` in a place.
func start(l *lab.Lab, o *Options, place string, stdout io.Writer, args ...string) (*process, error) {
	return startProgram(l, o, place, o.Program, stdout, args...)
}

func startProgram(l *lab.Lab, o *Options, place, program string, stdout io.Writer, args ...string) (*process, error) {
	p := &process{place: place, cmd: l.Command(place, program, args...), done: make(chan struct{})}
	p.said = &prefixer{w: o.Log, prefix: place + ": "}
	p.cmd.Stdout, p.cmd.Stderr = stdout, p.said
	if o.Arbitration != Etcd || place != lab.Witness {
		// A member of etcd works for a second when it starts; on a host of its
		// own that would be nobody's loss.
		p.cmd.Nice = niceness
	}
	return p, p.run()
}

// run starts the command and waits for its end in the background.
func (p *process) run() error {
	// A grandchild that kept the pipes open must not keep Wait.
	p.cmd.WaitDelay = time.Second
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.place, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return nil
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func (p *process) signal(s syscall.Signal) error {
	if p.ended() {
		return fmt.Errorf("%s has ended: %w", p.place, p.why())
	}
	if err := p.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("signal %v to %s: %w", s, p.place, err)
	}
	return nil
}

// why is how a process ended, with the last thing it said.
func (p *process) why() error {
	err := p.err
	if err == nil {
		err = errors.New("exit status 0")
	}
	if p.said != nil && p.said.last != "" {
		err = fmt.Errorf("%w: %s", err, p.said.last)
	}
	return err
}

// stop ends the process and waits for it: politely, then not.
func (p *process) stop() error {
	if p.ended() {
		return nil
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return nil // it has just ended
	}
	select {
	case <-p.done:
		var exit *exec.ExitError
		if errors.As(p.err, &exit) {
			return fmt.Errorf("%s: %w", p.place, p.err)
		}
		return nil
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill()
		<-p.done
		return fmt.Errorf("%s did not end within %v of SIGTERM", p.place, stopTimeout)
	}
}

// waitFor polls until a node's word has a state, and its process lives.
func (p *process) waitFor(l *lab.Lab, id int, want lane.State, stop <-chan struct{}) (*nodeView, error) {
	deadline := time.Now().Add(readyTimeout)
	var view *nodeView
	var why error
	for time.Now().Before(deadline) {
		if p.ended() {
			return nil, fmt.Errorf("%s ended while starting: %w", p.place, p.why())
		}
		if view == nil {
			view, why = openNode(l, p.place, id)
		}
		if view != nil {
			if w := view.authority(); w.State() == want {
				return view, nil
			} else {
				why = fmt.Errorf("its word is %v", w)
			}
		}
		select {
		case <-stop:
			return nil, errors.Join(ErrStopped, closeView(view))
		case <-time.After(pollEvery):
		}
	}
	return nil, errors.Join(fmt.Errorf("%s is not %v within %v: %w", p.place, want, readyTimeout, why), closeView(view))
}

func closeView(v *nodeView) error {
	if v == nil {
		return nil
	}
	return v.close()
}

// call speaks to a node over its control socket.
func call(l *lab.Lab, place string, id int, cmd string, out any) error {
	return control.Call(control.SocketPath(l.RunDir, place), control.Request{Cmd: cmd, Lane: id}, out, controlTimeout)
}

// decode reads a process's JSON output.
func decode(what string, b []byte, out any) error {
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("output of %s: %w", what, err)
	}
	return nil
}
