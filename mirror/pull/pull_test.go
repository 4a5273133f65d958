package pull

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"onebeat/bench/lab/porttest"
	"onebeat/engine/app"
	"onebeat/mirror/archive"
	"onebeat/mirror/disk"
	"onebeat/mirror/lane"
	"onebeat/mirror/ring"
	"onebeat/mirror/snapshot"
	"onebeat/mirror/stream"
)

var quick = stream.Timing{Handshake: 5 * time.Second, KeepAlive: 50 * time.Millisecond, Dead: 5 * time.Second, Poll: time.Millisecond}

var authority = sync.OnceValues(func() (*stream.Authority, error) { return stream.NewAuthority(time.Hour) })

func credentials(t *testing.T, node uint8) *stream.Credentials {
	t.Helper()
	a, err := authority()
	if err != nil {
		t.Fatal(err)
	}
	certificate, key, err := a.Issue(node, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	pem, _, err := a.PEM()
	if err != nil {
		t.Fatal(err)
	}
	c, err := stream.ParseCredentials(certificate, key, pem)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// node is a host with a lane's log in a ring, of which everything is safe.
type node struct {
	t      *testing.T
	number uint8
	table  lane.Table
	word   uint64
	ring   *ring.Ring
	lane   *stream.Lane
	server *stream.Server
	addr   string
	timeNs int64
}

const nodeRing = 1 << 20

func newNode(t *testing.T, number uint8) *node {
	t.Helper()
	n := &node{t: t, number: number, timeNs: 1e18}
	var err error
	if n.ring, err = ring.New(make([]byte, nodeRing+ring.SlackBytes), nodeRing, &n.table.Tail); err != nil {
		t.Fatal(err)
	}
	n.ring.ShareCuts(&n.table.Cuts)
	n.table.Config.Node = uint32(number)
	n.lane = &stream.Lane{ID: 3, Ring: n.ring, Look: func() stream.View {
		return stream.View{Word: lane.Load(&n.word), Writer: number, Safe: n.ring.Tail()}
	}}
	n.set(1)
	return n
}

func (n *node) set(epoch uint32) {
	atomic.StoreUint64(&n.word, uint64(lane.MakeWord(epoch, lane.Active)))
}

func (n *node) serve() {
	n.t.Helper()
	if n.addr == "" {
		n.addr = porttest.Hold(n.t).String()
	}
	l, err := net.Listen("tcp", n.addr)
	if err != nil {
		n.t.Fatal(err)
	}
	n.server = stream.Serve(l, stream.ServerOptions{Credentials: credentials(n.t, n.number), Lanes: []*stream.Lane{n.lane}, Timing: quick})
	n.t.Cleanup(n.stop)
}

func (n *node) stop() {
	if n.server != nil {
		if err := n.server.Close(); err != nil {
			n.t.Error(err)
		}
		n.server = nil
	}
}

func (n *node) append(count int, epoch uint32) {
	n.t.Helper()
	n.set(epoch)
	for range count {
		n.timeNs++
		if _, _, ok := n.ring.Append(app.RecordMessage, epoch, n.timeNs, bytes.Repeat([]byte{byte(n.timeNs)}, 100)); !ok {
			n.t.Fatal("the ring is full")
		}
	}
}

// archive brings the log to a disk: by that a server knows which life it is of.
func (n *node) archive(dir string) {
	n.t.Helper()
	f, err := archive.NewFollower(archive.Options{Dir: dir, Lane: 3, Wall: func() int64 { return n.timeNs }}, n.ring)
	if err != nil {
		n.t.Fatal(err)
	}
	for now := int64(1); f.Archived() != n.ring.Tail(); now += 1e9 {
		f.Step(now)
	}
	if err := f.Close(); err != nil {
		n.t.Fatal(err)
	}
	n.lane.Archive = dir
}

func (n *node) source() Source { return Source{n.number, n.addr} }

func options(t *testing.T, dir string, sources ...Source) Options {
	return Options{Lane: 3, Sources: sources, Credentials: credentials(t, 9), Name: "far", Compress: true,
		Retry: 5 * time.Millisecond, RetryMax: 20 * time.Millisecond, RingBytes: nodeRing, Timing: quick,
		Note: func(s string) { t.Log(s) },
		Archive: archive.Options{Dir: dir, Lane: 3, Node: 9, SegmentBytes: 128 << 10, Compress: true, RetryNs: 1e6, SyncEveryNs: 1e6,
			Wall: func() int64 { return time.Now().UnixNano() }}}
}

// copying is a copy that runs.
type copying struct {
	*Puller
	t      *testing.T
	cancel context.CancelFunc
	ended  chan error
	once   sync.Once
}

func start(t *testing.T, o Options) *copying {
	t.Helper()
	p, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &copying{Puller: p, t: t, cancel: cancel, ended: make(chan error, 1)}
	go func() { c.ended <- p.Run(ctx) }()
	t.Cleanup(c.end)
	return c
}

func (c *copying) end() {
	c.once.Do(func() {
		c.cancel()
		if err := errors.Join(<-c.ended, c.Close()); err != nil {
			c.t.Error(err)
		}
	})
}

// until waits for what must come.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func (c *copying) has(position uint64) {
	c.t.Helper()
	until(c.t, "the copy is at its source's end", func() bool { return c.Status().Durable == position })
}

// whole compares the copy's archive with a ring as far as that goes back.
func whole(t *testing.T, dir string, n *node) {
	t.Helper()
	v, err := archive.Verify(disk.OS{}, dir, nil)
	if err != nil || len(v.Problems) > 0 || v.End != n.ring.Tail() {
		t.Fatalf("%+v, %v", v, err)
	}
	r, err := archive.OpenReader(disk.OS{}, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	at := max(n.ring.Oldest(), r.Begin())
	if err := r.Seek(at); err != nil {
		t.Fatal(err)
	}
	for at < n.ring.Tail() {
		var rec app.Record
		want, next, state := n.ring.Read(at)
		if state != ring.Found {
			t.Fatal(state)
		}
		if more, err := r.Next(&rec); err != nil || !more || rec.Position != want.Position || !bytes.Equal(rec.Payload, want.Payload) {
			t.Fatalf("at %d: %v, %v", at, more, err)
		}
		at = next
	}
}

func TestFollow(t *testing.T) {
	a := newNode(t, 1)
	a.append(2000, 1)
	a.serve()
	dir := filepath.Join(t.TempDir(), "far-lane3")
	c := start(t, options(t, dir, a.source()))
	c.has(a.ring.Tail())
	until(t, "the source knows", func() bool {
		list := a.server.Copies(3)
		return len(list) == 1 && list[0].Name == "far" && list[0].Durable == a.ring.Tail()
	})
	if s := c.Status(); s.State != "caught up" || s.BehindBytes != 0 || s.BehindNs != 0 || s.Source != 1 {
		t.Errorf("%+v", s)
	}
	// The copy's process ends, the log goes on, and so does the copy.
	for range 4 {
		c.end()
		a.append(1500, 1)
		c = start(t, options(t, dir, a.source()))
		c.has(a.ring.Tail())
	}
	// The source's server comes and goes.
	a.stop()
	a.append(100, 1)
	until(t, "it is noticed", func() bool { return c.Status().State == "failing" })
	if s := c.Status(); s.BehindNs <= 0 || s.Source != 0 {
		t.Errorf("%+v", s)
	}
	a.serve()
	c.has(a.ring.Tail())
	c.end()
	whole(t, dir, a)
}

func TestTwoCopiesOfOneArchive(t *testing.T) {
	a := newNode(t, 1)
	a.serve()
	dir := filepath.Join(t.TempDir(), "far-lane3")
	start(t, options(t, dir, a.source()))
	if _, err := Open(options(t, dir, a.source())); !errors.Is(err, archive.ErrLocked) {
		t.Errorf("got %v", err)
	}
}

// The lane goes on at another node, without the end of what the copy has.
func TestCut(t *testing.T) {
	a, b := newNode(t, 1), newNode(t, 2)
	a.append(1000, 1)
	at := a.ring.Tail()
	if err := b.ring.WriteRaw(0, a.ring.Bytes(0, at)); err != nil {
		t.Fatal(err)
	}
	a.append(500, 1)
	a.serve()
	b.timeNs = a.timeNs
	b.append(800, 2)
	b.serve()
	dir := filepath.Join(t.TempDir(), "far-lane3")
	o := options(t, dir, a.source())
	c := start(t, o)
	c.has(a.ring.Tail())
	c.end()
	o.Sources = []Source{b.source()}
	c = start(t, o)
	c.has(b.ring.Tail())
	whole(t, dir, b)
	cuts, err := filepath.Glob(filepath.Join(dir, "cut-*.log"))
	if err != nil || len(cuts) != 1 {
		t.Errorf("what was cut is not kept: %v, %v", cuts, err)
	}
	c.end()

	// A copy that follows a node which was left behind finds the other one itself.
	o = options(t, filepath.Join(t.TempDir(), "far-lane3"), a.source(), b.source())
	c = start(t, o)
	c.has(b.ring.Tail())
	c.end()
	whole(t, o.Archive.Dir, b)
}

// The lane went on at another site while this copy was fed by one that had gone
// through an epoch of its own: the place where they parted lies before that epoch,
// or in the midst of it.
func TestPartedSites(t *testing.T) {
	for name, within := range map[string]bool{"before an epoch": false, "within an epoch": true} {
		t.Run(name, func(t *testing.T) { partedSites(t, within) })
	}
}

func partedSites(t *testing.T, within bool) {
	a, b := newNode(t, 1), newNode(t, 2)
	a.append(1000, 1)
	at := a.ring.Tail()
	if err := b.ring.WriteRaw(0, a.ring.Bytes(0, at)); err != nil {
		t.Fatal(err)
	}
	a.append(200, 4)
	a.append(100, 5)
	b.timeNs = a.timeNs
	if within {
		// Both had a part of the epoch.
		b.timeNs -= 300
		b.append(150, 4)
		at = b.ring.Tail()
		b.timeNs++ // what follows is another's
	}
	a.serve()
	b.append(500, 4)
	b.append(800, 1<<16)
	b.serve()
	dir := filepath.Join(t.TempDir(), "far-lane3")
	o := options(t, dir, a.source())
	c := start(t, o)
	c.has(a.ring.Tail())
	c.end()
	o.Sources = []Source{b.source()}
	c = start(t, o)
	c.has(b.ring.Tail())
	c.end()
	whole(t, dir, b)
	if cuts, err := filepath.Glob(filepath.Join(dir, fmt.Sprintf("cut-*-%d-%d.log", at, a.ring.Tail()))); err != nil || len(cuts) != 1 {
		all, _ := filepath.Glob(filepath.Join(dir, "cut-*"))
		t.Errorf("not exactly what differs, %d to %d, was cut: %v, %v", at, a.ring.Tail(), all, err)
	}
}

func TestOtherLife(t *testing.T) {
	a := newNode(t, 1)
	a.append(100, 1)
	a.serve()
	dir := filepath.Join(t.TempDir(), "far-lane3")
	c := start(t, options(t, dir, a.source()))
	c.has(a.ring.Tail())
	c.end()
	a.stop()
	b := newNode(t, 1)
	b.timeNs = 2e18
	b.append(300, 1)
	b.archive(filepath.Join(t.TempDir(), "b-lane3"))
	b.serve()
	c = start(t, options(t, dir, b.source()))
	until(t, "the new life is followed", func() bool { return c.Status().Durable == b.ring.Tail() })
	c.end()
	whole(t, dir, b)
	if old, err := filepath.Glob(dir + ".life-*"); err != nil || len(old) != 1 {
		t.Errorf("the old life is gone: %v, %v", old, err)
	}
}

// A disk that is full stops the copy and nothing else; with room it goes on where
// it was.
func TestDiskFull(t *testing.T) {
	a := newNode(t, 1)
	a.append(1000, 1)
	a.serve()
	dir := filepath.Join(t.TempDir(), "far-lane3")
	o := options(t, dir, a.source())
	files := &disk.Faulty{FS: disk.OS{}}
	o.Archive.FS = files
	c := start(t, o)
	c.has(a.ring.Tail())
	full := func(call disk.Call) disk.Fault {
		switch call.Op {
		case disk.OpWrite, disk.OpCreate, disk.OpAllocate:
			return disk.Fault{Err: syscall.ENOSPC, Bytes: call.Bytes / 2}
		}
		return disk.Fault{}
	}
	files.SetRule(full)
	before := c.Status().Durable
	for range 8 {
		a.append(1000, 1) // together more than the copy's ring
		time.Sleep(20 * time.Millisecond)
	}
	until(t, "the archive says so", func() bool { return c.Status().Archive.Failures > 0 })
	if d := c.Status().Durable; d != before {
		t.Errorf("durable went from %d to %d on a full disk", before, d)
	}
	files.SetRule(nil)
	tail := a.ring.Tail()
	if oldest := a.ring.Oldest(); oldest > c.Status().Received {
		t.Fatalf("the test overran the source's ring: %d, the copy has %d", oldest, c.Status().Received)
	}
	c.has(tail)
	c.end()
	whole(t, dir, a)
}

// The sources no longer have what the copy lacks: it goes on behind a snapshot.
func TestFromSnapshot(t *testing.T) {
	a := newNode(t, 1)
	a.append(100, 1)
	a.serve()
	dir := filepath.Join(t.TempDir(), "far-lane3")
	o := options(t, dir, a.source())
	var err error
	if o.Snapshots, err = snapshot.Open(disk.OS{}, snapshot.Dir(dir), 2); err != nil {
		t.Fatal(err)
	}
	c := start(t, o)
	c.has(a.ring.Tail())
	c.end()
	for range 12 {
		a.append(1000, 1)
	}
	from, err := snapshot.Open(disk.OS{}, filepath.Join(t.TempDir(), "a"), 2)
	if err != nil {
		t.Fatal(err)
	}
	position := a.ring.Tail()
	if _, err := from.Write(snapshot.Header{Lane: 3, Node: 1, Position: position, Last: position - 160, Epoch: 1, App: "test"}, func(w *app.StateWriter) {
		w.Section("toy", 1)
		w.End()
	}); err != nil {
		t.Fatal(err)
	}
	a.lane.Newest = NewestOf(from)
	a.append(500, 1)
	c = start(t, o)
	c.has(a.ring.Tail())
	c.end()
	v, err := archive.Verify(disk.OS{}, dir, nil)
	if err != nil || len(v.Gaps) != 1 || v.Gaps[0].To != position || v.End != a.ring.Tail() {
		t.Errorf("%+v, %v", v, err)
	}
	if f, bad := o.Snapshots.Newest(); f == nil || f.Header.Position != position || bad != nil {
		t.Errorf("%+v, %v", f, bad)
	}
	// The copy goes on behind the gap after a restart, too.
	a.append(10, 1)
	c = start(t, o)
	c.has(a.ring.Tail())
	c.end()
}

// A third host serves its copy onward.
func TestOnward(t *testing.T) {
	a := newNode(t, 1)
	a.append(2000, 1)
	a.serve()
	c := start(t, options(t, filepath.Join(t.TempDir(), "far-lane3"), a.source()))
	c.has(a.ring.Tail())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := stream.Serve(l, stream.ServerOptions{Credentials: credentials(t, 9), Lanes: []*stream.Lane{c.Lane()}, Timing: quick})
	defer s.Close()
	dir := filepath.Join(t.TempDir(), "next-lane3")
	o := options(t, dir, Source{9, l.Addr().String()})
	o.Credentials = credentials(t, 10)
	next := start(t, o)
	next.has(a.ring.Tail())
	a.append(300, 1)
	next.has(a.ring.Tail())
	next.end()
	whole(t, dir, a)
}
