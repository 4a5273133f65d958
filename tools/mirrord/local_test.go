package mirrord

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"onebeat/bench/lab/porttest"
	"onebeat/engine/app"
	"onebeat/mirror/archive"
	"onebeat/mirror/disk"
	"onebeat/mirror/lane"
	"onebeat/mirror/ring"
	"onebeat/mirror/ringfile"
	"onebeat/mirror/ship"
	"onebeat/mirror/stream"
	"onebeat/tools/config"
	"onebeat/tools/control"
)

var authority = sync.OnceValues(func() (*stream.Authority, error) { return stream.NewAuthority(time.Hour) })

// certificates writes a host's files into a directory.
func certificates(t *testing.T, dir string, number int) config.Stream {
	t.Helper()
	a, err := authority()
	if err != nil {
		t.Fatal(err)
	}
	certificate, key, err := a.Issue(uint8(number), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	pem, _, err := a.PEM()
	if err != nil {
		t.Fatal(err)
	}
	s := config.Stream{Connections: 64}
	for _, f := range []struct {
		to   *string
		name string
		b    []byte
	}{{&s.Certificate, "c.crt", certificate}, {&s.Key, "c.key", key}, {&s.Authorities, "a.crt", pem}} {
		*f.to = filepath.Join(dir, fmt.Sprintf("%d-%s", number, f.name))
		if err := os.WriteFile(*f.to, f.b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

const testRing = 1 << 20

// hostOfNode is a node's host whose engine is this test: it writes the ring file.
type hostOfNode struct {
	t      *testing.T
	cfg    *config.Config
	file   *ringfile.File
	ring   *ring.Ring
	timeNs int64
}

func newHostOfNode(t *testing.T) *hostOfNode {
	t.Helper()
	dir := t.TempDir()
	s := certificates(t, dir, 1)
	h := &hostOfNode{t: t, timeNs: 1e18, cfg: &config.Config{
		Node:    config.Node{Name: "a", Number: 1, RunDir: dir, Transport: config.TransportUDP},
		Lanes:   []config.Lane{{ID: 0, Peer: 2, RingSize: testRing}},
		Archive: &config.Archive{Dir: filepath.Join(dir, "archive"), By: config.ByMirrord, SegmentSize: 128 << 10, Sync: config.SyncInterval, SyncEvery: 1_000_000, Compress: true},
		Stream:  &s, Mirrord: &config.Mirrord{Listen: config.Endpoint{AddrPort: porttest.Hold(t)}},
	}}
	return h
}

// begin makes the ring, as a node that starts does.
func (h *hostOfNode) begin(incarnation uint64) {
	h.t.Helper()
	var err error
	if h.file, err = ringfile.Open(filepath.Join(h.cfg.Node.RunDir, "a-lane0.ring"), testRing); err != nil {
		h.t.Fatal(err)
	}
	*h.file.Table = lane.Table{}
	clear(h.file.Ring)
	if h.ring, err = ring.New(h.file.Ring, testRing, &h.file.Table.Tail); err != nil {
		h.t.Fatal(err)
	}
	h.ring.ShareCuts(&h.file.Table.Cuts)
	h.file.Table.Config.Node, h.file.Table.Config.PeerNode = 1, 2
	h.set(1, lane.Active)
	h.file.Table.SetCommit(lane.CommitTail)
	atomic.StoreUint64(&h.file.Table.Config.Incarnation, incarnation)
	h.t.Cleanup(func() { _ = h.file.Close() }) // may be closed already
}

func (h *hostOfNode) set(epoch uint32, s lane.State) {
	atomic.StoreUint64(h.file.Authority, uint64(lane.MakeWord(epoch, s)))
}

func (h *hostOfNode) append(count int, epoch uint32) {
	h.t.Helper()
	for range count {
		h.timeNs++
		if _, _, ok := h.ring.Append(app.RecordMessage, epoch, h.timeNs, bytes.Repeat([]byte{7}, 100)); !ok {
			h.t.Fatal("the ring is full")
		}
	}
}

func (h *hostOfNode) dir() string { return archive.LaneDir(h.cfg.Archive.Dir, "a", 0) }

// daemonOf runs a daemon until the returned function is called.
func daemonOf(t *testing.T, run func(ctx context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func statusOf(runDir, name string) *control.MirrordStatus {
	var s control.MirrordStatus
	if control.Call(control.SocketPath(runDir, control.MirrordName(name)), control.Request{Cmd: control.CmdStatus}, &s, time.Second) != nil || len(s.Lanes) == 0 {
		return nil
	}
	return &s
}

// archivedTo waits until the daemon's archive ends where the ring does.
func (h *hostOfNode) archivedTo(position uint64) {
	h.t.Helper()
	until(h.t, fmt.Sprintf("archived up to %d", position), func() bool {
		s := statusOf(h.cfg.Node.RunDir, "a")
		return s != nil && s.Lanes[0].Archive != nil && s.Lanes[0].Archive.End == position && s.Lanes[0].Archive.State == "following"
	})
}

var quick = stream.Timing{Handshake: 5 * time.Second, KeepAlive: 50 * time.Millisecond, Dead: 5 * time.Second, Poll: time.Millisecond}

// The daemon archives what the engine wrote: before it started, while it runs,
// over restarts of either, over a cut, and when the ring is another one.
func TestLocal(t *testing.T) {
	h := newHostOfNode(t)
	vault := t.TempDir()
	h.cfg.Stores = []config.Store{{Name: "vault", Directory: vault, Every: 10_000_000, Snapshots: 3}}
	run := func(ctx context.Context) error { return RunLocal(ctx, h.cfg, Options{Timing: quick}) }
	stop := daemonOf(t, run)
	until(t, "it says that nothing is there", func() bool {
		s := statusOf(h.cfg.Node.RunDir, "a")
		return s != nil && !s.Lanes[0].Pinned && strings.Contains(s.Lanes[0].Problem, "not in memory")
	})
	h.begin(5)
	h.append(1000, 1)
	h.archivedTo(h.ring.Tail())
	if err := RunLocal(context.Background(), h.cfg, Options{}); !errors.Is(err, archive.ErrLocked) {
		t.Errorf("two daemons archive at one place: %v", err)
	}

	// The daemon is away while the log goes on, and is cut.
	stop()
	h.append(500, 1)
	at := h.ring.Tail()
	h.append(500, 1)
	stop = daemonOf(t, run)
	h.archivedTo(h.ring.Tail())
	stop()
	if err := h.ring.Cut(at); err != nil {
		t.Fatal(err)
	}
	h.append(800, 2)
	stop = daemonOf(t, run)
	h.archivedTo(h.ring.Tail())
	if err := h.ring.Cut(at); err != nil { // and under its eyes
		t.Fatal(err)
	}
	h.append(300, 3)
	h.archivedTo(h.ring.Tail())
	// It is shipped.
	until(t, "shipped", func() bool {
		s := statusOf(h.cfg.Node.RunDir, "a")
		return s != nil && len(s.Lanes[0].Stores) == 1 && s.Lanes[0].Stores[0].Shipped > 0
	})
	stop() // nothing is compressed or shipped while it is looked at
	if v, err := archive.Verify(disk.OS{}, h.dir(), nil); err != nil || len(v.Problems) > 0 || v.Epochs.To != 3 {
		t.Errorf("%+v, %v", v, err)
	}
	store, err := ship.NewDirectory(nil, vault)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := ship.Restore(context.Background(), ship.RestoreOptions{Store: store, Prefix: "a-lane0", Dir: t.TempDir()}); err != nil || r.End == 0 {
		t.Errorf("%+v, %v", r, err)
	}

	daemonOf(t, run)

	// The node is cleaned up and begins anew: another ring, another life.
	if err := errors.Join(h.file.Close(), os.Remove(filepath.Join(h.cfg.Node.RunDir, "a-lane0.ring"))); err != nil {
		t.Fatal(err)
	}
	h.timeNs += 1e15
	h.begin(7)
	h.append(100, 1)
	h.archivedTo(h.ring.Tail())
	until(t, "the other ring", func() bool {
		s := statusOf(h.cfg.Node.RunDir, "a")
		return s != nil && s.Lanes[0].Incarnation == 7
	})
}

// An engine that died is fenced; what it had not mirrored is still there for its
// peer, and for nobody else.
func TestLocalSalvage(t *testing.T) {
	h := newHostOfNode(t)
	h.begin(5)
	h.append(100, 1)
	h.file.Table.SetCommit(lane.CommitPosition) // its peer has no more than this
	safe := h.ring.Tail()
	h.append(50, 1)
	daemonOf(t, func(ctx context.Context) error { return RunLocal(ctx, h.cfg, Options{Timing: quick}) })
	h.archivedTo(h.ring.Tail())
	h.set(1, lane.Fenced)
	dial := func(number int) *stream.Client {
		s := certificates(t, t.TempDir(), number)
		c, err := stream.LoadCredentials(s.Certificate, s.Key, s.Authorities)
		if err != nil {
			t.Fatal(err)
		}
		client, err := stream.Dial(context.Background(), h.cfg.Mirrord.Listen.String(), 1, stream.ClientOptions{Credentials: c, Timing: quick})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = client.Close() })
		return client
	}
	var last stream.RecordHead
	rec, next, _ := h.ring.Read(0)
	for next < safe {
		rec, next, _ = h.ring.Read(next)
	}
	copy(last[:], h.ring.Bytes(rec.Position, rec.Position+ring.HeaderBytes))
	request := stream.LogRequest{Lane: 0, From: safe, Last: last, Salvage: true, To: h.ring.Tail()}
	got := func(c *stream.Client) (uint64, error) {
		log, err := c.Log(request)
		if err != nil {
			return 0, err
		}
		defer log.Close()
		end := safe
		for {
			chunk, err := log.Next()
			if err != nil {
				return end, err
			}
			end = chunk.End()
		}
	}
	if end, err := got(dial(2)); end != h.ring.Tail() {
		t.Errorf("the peer got the log up to %d of %d: %v", end, h.ring.Tail(), err)
	}
	if end, err := got(dial(3)); end != safe || err == nil {
		t.Errorf("a stranger got the log up to %d: %v", end, err)
	}
}
