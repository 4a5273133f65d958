package fixload

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"onebeat/bench/bed"
	"onebeat/bench/fixpeers"
	"onebeat/bench/lab"
	"onebeat/bench/scene"
)

const (
	plainPort = 9600
	plainNode = "PLAIN"

	dialEvery = 5 * time.Millisecond
)

// fixBed is a pair of nodes whose lane serves FIX, and plain acceptors on the first
// node's host, each a process of its own.
type fixBed struct {
	*bed.Bed
	o        *BenchOptions
	attacked bool   // others attack: no plain acceptors beside
	dir      string // of the plain acceptors' files
}

func newBed(ctx context.Context, o *BenchOptions, attacked bool) (b *fixBed, err error) {
	spec := lab.Spec{Topology: lab.Pair}
	if attacked {
		spec = lab.Spec{Topology: lab.Switched, Clients: badAttacker + 1}
	}
	base, err := bed.New(spec, o.Program)
	if err != nil {
		return nil, err
	}
	b = &fixBed{Bed: base, o: o, attacked: attacked}
	if err := b.start(ctx); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

func (b *fixBed) start(ctx context.Context) (err error) {
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
	s := &scene.Scene{Lab: b.Lab, Lanes: lanes, LoopLines: fmt.Sprintf("idle = %q", b.o.Idle), LogLevel: "warn"}
	if err := b.Start(ctx, s); err != nil || b.attacked {
		return err
	}
	for i, sync := range []string{"sync", "nosync"} {
		at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(plainPort+i))
		if err := b.Run(lab.NodeA, "bench-acceptor", at.String(), filepath.Join(b.dir, sync), sync); err != nil {
			return err
		}
	}
	return nil
}

// clients are the CompIDs of the sessions that a bench has.
func (b *fixBed) clients() []string { return []string{scene.FIXClient, scene.FIXClient + "-far"} }

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

// dial logs on from a place, as soon as the other end listens.
func (b *fixBed) dial(ctx context.Context, place string, o Options) (s *Session, err error) {
	for deadline := time.Now().Add(bed.ReadyTimeout); ; time.Sleep(dialEvery) {
		err = b.Lab.Do(place, func() (err error) {
			s, err = Dial(o)
			return err
		})
		if err == nil || ctx.Err() != nil || time.Now().After(deadline) {
			return s, err
		}
	}
}

func (b *fixBed) close() error {
	err := b.Close()
	if b.dir != "" {
		err = errors.Join(err, os.RemoveAll(b.dir))
	}
	return err
}
