package bed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"onebeat/bench/lab"
	"onebeat/bench/scene"
	"onebeat/bpf"
	"onebeat/mirror/lane"
	"onebeat/tools/control"
)

// ReadyTimeout is how long whatever is waited for may take to come up.
const ReadyTimeout = 20 * time.Second

const (
	pollEvery   = 5 * time.Millisecond
	stopTimeout = 5 * time.Second
	callTimeout = time.Second
)

// Bed is a lab and what runs in it.
type Bed struct {
	Lab       *lab.Lab
	program   string
	processes []*exec.Cmd
	nodes     map[string]*exec.Cmd
}

// New builds a lab for processes of program.
func New(spec lab.Spec, program string) (*Bed, error) {
	l, err := lab.Up(spec)
	if err != nil {
		return nil, err
	}
	return &Bed{Lab: l, program: program, nodes: map[string]*exec.Cmd{}}, nil
}

// Start writes a scene's files, starts its nodes, and waits until lane 0 is served and
// has its standby.
func (b *Bed) Start(ctx context.Context, s *scene.Scene) error {
	if err := s.Write(); err != nil {
		return err
	}
	for _, place := range s.Places() {
		if err := b.StartNode(place); err != nil {
			return err
		}
	}
	return errors.Join(b.Await(ctx, lab.NodeA, lane.Active), b.Await(ctx, lab.NodeB, lane.Standby))
}

// StartNode starts the node of a place, or its venue.
func (b *Bed) StartNode(place string) error {
	kind := "node"
	if place == lab.Venue {
		kind = "venue"
	}
	if err := b.Run(place, kind, "--config", scene.ConfigPath(b.Lab, place)); err != nil {
		return err
	}
	b.nodes[place] = b.processes[len(b.processes)-1]
	return nil
}

// Kill ends a node by SIGKILL and waits for its end.
func (b *Bed) Kill(place string) error {
	c := b.nodes[place]
	delete(b.nodes, place)
	for i, p := range b.processes {
		if p == c {
			b.processes = append(b.processes[:i], b.processes[i+1:]...)
			break
		}
	}
	err := c.Process.Kill()
	_ = c.Wait() // of what it died is known
	return err
}

// Run starts the program in a place; Close ends it.
func (b *Bed) Run(place string, args ...string) error {
	c := b.Command(place, args...)
	c.Stdout = os.Stderr
	return b.Begin(c)
}

// Command is the program in a place, for Begin.
func (b *Bed) Command(place string, args ...string) *lab.Command {
	return b.Lab.Command(place, b.program, args...)
}

// Begin starts a command; Close ends it.
func (b *Bed) Begin(c *lab.Command) error {
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		return fmt.Errorf("%v: %w", c.Args[1:], err)
	}
	b.processes = append(b.processes, c.Cmd)
	return nil
}

// Await waits until a node's lane 0 has a state.
func (b *Bed) Await(ctx context.Context, place string, want lane.State) error {
	for deadline := time.Now().Add(ReadyTimeout); ; time.Sleep(pollEvery) {
		v, err := bpf.OpenView(b.Lab.BPFFS(place), 0)
		if err == nil {
			word := lane.Load(lane.WordAt(v.Authority))
			if err := v.Close(); err != nil || word.State() == want {
				return err
			}
			err = fmt.Errorf("its word is %v", word)
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			return errors.Join(fmt.Errorf("%s is not %v within %v", place, want, ReadyTimeout), err, ctx.Err())
		}
	}
}

// Status asks a node how it is.
func (b *Bed) Status(place string) (s control.Status, err error) {
	return s, control.Call(control.SocketPath(b.Lab.RunDir, place), control.Request{Cmd: control.CmdStatus}, &s, callTimeout)
}

// Close ends what runs, the last one first, and takes the lab down.
func (b *Bed) Close() error {
	var errs []error
	for i := len(b.processes) - 1; i >= 0; i-- {
		errs = append(errs, end(b.processes[i]))
	}
	return errors.Join(append(errs, b.Lab.Down())...)
}

func end(c *exec.Cmd) error {
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("%v: %w", c.Args[1:2], err)
	}
	late := time.AfterFunc(stopTimeout, func() { _ = c.Process.Kill() })
	defer late.Stop()
	if err := c.Wait(); err != nil {
		return fmt.Errorf("%v: %w", c.Args[1:2], err)
	}
	return nil
}
