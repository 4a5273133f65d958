package node

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"onebeat/bench/lab"
	"onebeat/bench/scene"
	"onebeat/engine/client"
	"onebeat/engine/fixp"
	"onebeat/engine/sbe"
	"onebeat/mirror/archive"
	"onebeat/mirror/pull"
	"onebeat/mirror/stream"
	"onebeat/tools/control"
)

// relay lets who is outside of the lab reach an address in it.
func (w *world) relay(place, address string) string {
	w.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			outside, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer outside.Close()
				inside, err := w.dialer(place)(context.Background(), address)
				if err != nil {
					return // it tries again
				}
				defer inside.Close()
				ended := make(chan struct{}, 2)
				for _, pair := range [][2]net.Conn{{outside, inside}, {inside, outside}} {
					go func() {
						_, _ = io.Copy(pair[0], pair[1])
						ended <- struct{}{}
					}()
				}
				<-ended
			})
		}
	})
	w.t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	return l.Addr().String()
}

// startCopy follows the lane as a mirror daemon on a third host does, until the
// returned function is called.
func (w *world) startCopy(number int, sources []pull.Source, dir string) (p *pull.Puller, stop func()) {
	w.t.Helper()
	at := func(name string) string { return filepath.Join(w.set.certificates, name) }
	c, err := stream.LoadCredentials(at(fmt.Sprintf("node-%d.crt", number)), at(fmt.Sprintf("node-%d.key", number)), at("authority.crt"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.meanwhile(func() {
		p, err = pull.Open(pull.Options{Lane: 0, Sources: sources, Credentials: c, Name: fmt.Sprintf("copy-%d", number), Retry: 10 * time.Millisecond, RetryMax: 100 * time.Millisecond,
			Archive: archive.Options{Dir: filepath.Join(dir, fmt.Sprintf("copy-%d-lane0", number)), SegmentBytes: 1 << 20, Sync: archive.SyncInterval, SyncEveryNs: 1_000_000,
				Wall: func() int64 { return time.Now().UnixNano() }}})
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := p.Run(ctx); err != nil {
			w.t.Error(err)
		}
	}()
	var once sync.Once
	end := func() {
		once.Do(func() {
			cancel()
			<-ended
			if err := p.Close(); err != nil {
				w.t.Error(err)
			}
		})
	}
	w.t.Cleanup(end)
	return p, func() { w.meanwhile(end) }
}

// meanwhile does what may wait for a disk. Orders and heartbeats go on.
func (w *world) meanwhile(do func()) {
	w.t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	w.until("the disk", func() bool {
		select {
		case <-done:
			return true
		default:
			return false
		}
	})
}

// Answers wait for the standby and two copies on third hosts. One of those dies: the
// lane goes on without the copies, aloud, and with its standby; or it refuses orders,
// as the policy says. With the copy back either ends by itself.
func TestCopies(t *testing.T) {
	s := streamed(t, setting{app: "book", witness: true, extra: "wait = \"300ms\"\non_timeout = \"degrade\"\n"}, false)
	s.sections += "[[site]]\nname = \"third\"\nnode = 3\ncounts = true\n[[site]]\nname = \"fourth\"\nnode = 4\ncounts = true\n"
	w := steady(t, s)
	sources := []pull.Source{{Node: 1, Address: w.relay(lab.Client, fmt.Sprintf("10.10.0.1:%d", streamPort))},
		{Node: 2, Address: w.relay(lab.Client, fmt.Sprintf("10.10.0.2:%d", streamPort))}}
	dir := t.TempDir()
	third, stopThird := w.startCopy(3, sources, dir)
	fourth, stopFourth := w.startCopy(4, sources, dir)
	a := w.nodes[lab.NodeA].lanes[0]
	both := func() uint64 { return min(third.Status().Received, fourth.Status().Received) }
	w.until("copies", func() bool { return both() == a.mem.table.Tail })
	three := 3
	w.mustSetPolicy(lab.NodeA, control.SetPolicy{Copies: &three})
	w.until("the change", func() bool { return w.inForce(lab.NodeB).Copies == 3 })
	w.until("nothing waits", func() bool { return w.client.c.Unanswered() == 0 && both() == a.mem.table.Tail })
	for range 50 {
		w.client.order()
		w.step()
		released := a.mem.table.Engine.Released
		if held := both(); released > held && !w.hasSaid(lab.NodeA, "msg=degraded") {
			t.Fatalf("released up to %d, the copies have %d", released, held)
		}
	}
	w.until("all answers", func() bool { return w.client.c.Unanswered() == 0 })
	took := make([]time.Duration, 200)
	for i := range took {
		from := time.Now()
		w.client.order()
		w.until("its answer", func() bool { return w.client.c.Unanswered() == 0 })
		took[i] = time.Since(from)
	}
	slices.Sort(took)
	t.Logf("an order with copies = 3: p50 %v p99 %v", took[100], took[198])

	stopThird()
	w.client.order()
	w.until("degraded", func() bool { return w.hasSaid(lab.NodeA, "msg=degraded", "as many copies") })
	w.until("an answer without the copy", func() bool { return w.client.c.Unanswered() == 0 })
	w.orders(20)
	if !a.replica.InSync() {
		t.Error("the standby is out: it was a copy that was missing")
	}
	third, stopThird = w.startCopy(3, sources, dir)
	w.until("restored", func() bool { return w.hasSaid(lab.NodeA, "msg=restored") })
	w.orders(20)

	// Its successor waits for them, too.
	w.giveLane(lab.NodeA, lab.NodeB)
	b := w.nodes[lab.NodeB].lanes[0]
	w.until("the copies at the successor", func() bool { return w.hasSaid(lab.NodeB, "msg=restored") })
	w.orders(20)
	if released := b.mem.table.Engine.Released; released > both() {
		t.Errorf("released up to %d, the copies have %d", released, both())
	}
	w.checkOnce()
	w.copiesReject(stopFourth, func() { fourth, _ = w.startCopy(4, sources, dir) })
	w.orders(20)
	w.sameState()
	stopThird()
}

// copiesReject changes the policy of the lane, whose writer is node B, and takes a
// copy away.
func (w *world) copiesReject(stop, start func()) {
	w.t.Helper()
	w.mustSetPolicy(lab.NodeB, control.SetPolicy{OnTimeout: "reject"})
	w.until("the change", func() bool { return w.inForce(lab.NodeA).OnTimeout.String() == "reject" })
	r := &refusing{w.client, map[uint64]sbe.SessionCode{}}
	w.client.c.Terminate()
	w.steps(20 * time.Millisecond)
	id, err := parseUUID(scene.Session(0))
	if err != nil {
		w.t.Fatal(err)
	}
	if w.client.c, err = client.New(client.Config{Session: id, Key: fixp.NewKey(scene.Credentials)}, r); err != nil {
		w.t.Fatal(err)
	}
	w.until("session", w.client.c.Ready)
	stop()
	first := w.client.order()
	w.until("refusing", func() bool { return w.hasSaid(lab.NodeB, "msg=refusing") })
	if len(w.client.answered[first]) > 0 {
		w.t.Error("answered without a copy")
	}
	second := w.client.order()
	w.until("a refusal", func() bool { _, refused := r.refused[second]; return refused })
	start()
	w.until("admitting", func() bool { return w.hasSaid(lab.NodeB, "msg=admitting") })
	w.until("the answer that waited", func() bool { return len(w.client.answered[first]) > 0 })
	if len(w.client.answered[second]) > 0 {
		w.t.Error("refused and done")
	}
}
