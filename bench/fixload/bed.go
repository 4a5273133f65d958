package fixload

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"onebeat/bench/fixpeers"
	"onebeat/bench/lab"
	"onebeat/bench/scene"
	"onebeat/bpf"
	"onebeat/mirror/lane"
)

const (
	plainPort = 9600
	plainNode = "PLAIN"

	readyTimeout = 20 * time.Second
	pollEvery    = 5 * time.Millisecond
	stopTimeout  = 5 * time.Second
)

// bed is a pair of nodes whose lane serves FIX, and plain acceptors on the first
// node's host, each a process of its own.
type bed struct {
	o         *BenchOptions
	lab       *lab.Lab
	attacked  bool // others attack: no plain acceptors beside
	processes []*exec.Cmd
	dir       string // of the plain acceptors' files
}

func newBed(ctx context.Context, o *BenchOptions, hostile bool) (b *bed, err error) {
	spec := lab.Spec{Topology: lab.Pair}
	if hostile {
		spec = lab.Spec{Topology: lab.Switched, Clients: badAttacker + 1}
	}
	l, err := lab.Up(spec)
	if err != nil {
		return nil, err
	}
	b = &bed{o: o, lab: l, attacked: hostile}
	if err := b.start(ctx); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

func (b *bed) start(ctx context.Context) (err error) {
	if b.dir, err = os.MkdirTemp(b.o.Dir, "onebeat-fixload-"); err != nil {
		return err
	}
	// Slow to accuse: both cores are busy, and nothing is to move.
	const slow = "heartbeat = \"100ms\"\nhang_budget = \"1s\"\n"
	lanes := scene.OneLane(b.o.App, slow)
	lanes[0].FIX = scene.FIXText("FIX.4.4", b.clients()...)
	if b.attacked {
		if lanes, err = b.attackedLanes(slow); err != nil {
			return err
		}
	}
	s := &scene.Scene{Lab: b.lab, Lanes: lanes, LoopLines: fmt.Sprintf("idle = %q", b.o.Idle), LogLevel: "warn"}
	if err := s.Write(); err != nil {
		return err
	}
	for _, place := range []string{lab.NodeA, lab.NodeB} {
		if err := b.run(place, "node", "--config", scene.ConfigPath(b.lab, place)); err != nil {
			return err
		}
	}
	if err := errors.Join(b.await(ctx, lab.NodeA, lane.Active), b.await(ctx, lab.NodeB, lane.Standby)); err != nil {
		return err
	}
	if b.attacked {
		return nil
	}
	for i, sync := range []string{"sync", "nosync"} {
		at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(plainPort+i))
		if err := b.run(lab.NodeA, "bench-acceptor", at.String(), filepath.Join(b.dir, sync), sync); err != nil {
			return err
		}
	}
	return nil
}

// clients are the CompIDs of the sessions that a bench has.
func (b *bed) clients() []string { return []string{scene.FIXClient, scene.FIXClient + "-far"} }

// RunAcceptor is a plain acceptor of its own process: address, directory, and
// whether every write goes to the disk.
func RunAcceptor(ctx context.Context, args []string) error {
	at, err := netip.ParseAddrPort(args[0])
	if err != nil {
		return err
	}
	a, err := fixpeers.StartAcceptor(&fixpeers.AcceptorOptions{At: at, CompID: plainNode, Clients: []string{scene.FIXClient}, StoreDir: args[1], SyncEveryWrite: args[2] == "sync"})
	if err != nil {
		return err
	}
	<-ctx.Done()
	a.Stop()
	return nil
}

func (b *bed) run(place string, args ...string) error {
	c := b.lab.Command(place, b.o.Program, args...)
	c.Stdout = os.Stderr
	return b.begin(c)
}

func (b *bed) begin(c *lab.Command) error {
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		return fmt.Errorf("%v: %w", c.Args[1:], err)
	}
	b.processes = append(b.processes, c.Cmd)
	return nil
}

// await waits until a node's lane has a state.
func (b *bed) await(ctx context.Context, place string, want lane.State) error {
	for deadline := time.Now().Add(readyTimeout); ; time.Sleep(pollEvery) {
		v, err := bpf.OpenView(b.lab.BPFFS(place), 0)
		if err == nil {
			word := lane.Load(lane.WordAt(v.Authority))
			if err := v.Close(); err != nil || word.State() == want {
				return err
			}
			err = fmt.Errorf("its word is %v", word)
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			return errors.Join(fmt.Errorf("%s is not %v within %v", place, want, readyTimeout), err, ctx.Err())
		}
	}
}

// dial logs on from a place, as soon as the other end listens.
func (b *bed) dial(ctx context.Context, place string, o Options) (s *Session, err error) {
	for deadline := time.Now().Add(readyTimeout); ; time.Sleep(pollEvery) {
		err = b.lab.Do(place, func() (err error) {
			s, err = Dial(o)
			return err
		})
		if err == nil || ctx.Err() != nil || time.Now().After(deadline) {
			return s, err
		}
	}
}

func (b *bed) close() error {
	var errs []error
	for i := len(b.processes) - 1; i >= 0; i-- {
		errs = append(errs, end(b.processes[i]))
	}
	if b.dir != "" {
		errs = append(errs, os.RemoveAll(b.dir))
	}
	return errors.Join(append(errs, b.lab.Down())...)
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
