package stream

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"onebeat/engine/app"
	"onebeat/mirror/archive"
	"onebeat/mirror/lane"
	"onebeat/mirror/ring"
)

// world is an authority, a node with a ring and an archive, and a server of it.
type world struct {
	t         testing.TB
	authority *Authority
	table     lane.Table
	word      uint64
	ring      *ring.Ring
	follower  *archive.Follower
	dir       string
	lane      *Lane
	server    *Server
	timeNs    int64
	nowNs     int64

	recordBytes int // of what write appends; 0: by chance
}

const ringBytes = 1 << 20

// quick makes tests of silence short, and leaves a busy machine time.
var quick = Timing{Handshake: 2 * time.Second, KeepAlive: 50 * time.Millisecond, Dead: 2 * time.Second, Poll: time.Millisecond}

var testAuthority = sync.OnceValues(func() (*Authority, error) { return NewAuthority(time.Hour) })

func newWorld(t testing.TB) *world {
	t.Helper()
	a, err := testAuthority()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, authority: a, dir: t.TempDir() + "/lane", timeNs: 1e18}
	if w.ring, err = ring.New(make([]byte, ringBytes+ring.SlackBytes), ringBytes, &w.table.Tail); err != nil {
		t.Fatal(err)
	}
	w.table.Config.Node, w.table.Config.PeerNode = 1, 2
	w.setWord(lane.MakeWord(1, lane.Active))
	w.follower, err = archive.NewFollower(archive.Options{Dir: w.dir, Lane: 3, Node: 1, SegmentBytes: 256 << 10,
		Compress: true, Wall: func() int64 { return time.Now().UnixNano() }}, w.ring)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.follower.Close(); err != nil {
			t.Error(err)
		}
	})
	w.lane = &Lane{ID: 3, Ring: w.ring, Archive: w.dir, Look: TableView(&w.table, &w.word), Peer: 2}
	return w
}

func (w *world) setWord(word lane.Word) { atomic.StoreUint64(&w.word, uint64(word)) }

// commit says how far the whole set holds the log.
func (w *world) commit(position uint64) { atomic.StoreUint64(&w.table.Commit.Position, position) }

// append writes records of an epoch and says that the whole set holds them.
func (w *world) append(count int, epoch uint32) {
	w.t.Helper()
	var payload [100]byte
	for range count {
		w.timeNs++
		payload[0]++
		if _, _, ok := w.ring.Append(app.RecordMessage, epoch, w.timeNs, payload[:]); !ok {
			w.t.Fatal("the ring is full")
		}
	}
	w.commit(w.ring.Tail())
}

// archiveAll brings everything to the archive.
func (w *world) archiveAll() {
	w.t.Helper()
	for range 1000 {
		w.nowNs += 1e8
		w.follower.Step(w.nowNs)
		if w.follower.Status().End == w.ring.Tail() {
			break
		}
	}
	if s := w.follower.Status(); s.End != w.ring.Tail() {
		w.t.Fatalf("archived up to %d of %d: %+v", s.End, w.ring.Tail(), s)
	}
}

// appendArchived writes more than the ring holds.
func (w *world) appendArchived(count int, epoch uint32) {
	w.t.Helper()
	for count > 0 {
		n := min(count, 1000)
		w.append(n, epoch)
		w.archiveAll()
		count -= n
	}
}

func (w *world) credentials(node uint8) *Credentials {
	w.t.Helper()
	certificate, key, err := w.authority.Issue(node, time.Hour)
	if err != nil {
		w.t.Fatal(err)
	}
	authority, _, err := w.authority.PEM()
	if err != nil {
		w.t.Fatal(err)
	}
	c, err := ParseCredentials(certificate, key, authority)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *world) serve(change func(*ServerOptions)) {
	w.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	o := ServerOptions{Credentials: w.credentials(1), Lanes: []*Lane{w.lane}, Timing: quick}
	if change != nil {
		change(&o)
	}
	w.server = Serve(l, o)
	w.t.Cleanup(func() {
		if err := w.server.Close(); err != nil {
			w.t.Error(err)
		}
	})
}

func (w *world) dial(node uint8) *Client {
	w.t.Helper()
	c, err := Dial(context.Background(), w.server.Addr().String(), 1, ClientOptions{Credentials: w.credentials(node), Timing: quick})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

// counted waits until a counter of the server has a value.
func (w *world) counted(name string, want uint64) {
	w.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		got := uint64(0)
		w.server.Counters(func(n string, v uint64) {
			if n == name {
				got = v
			}
		})
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("%s = %d, want %d", name, got, want)
		}
		time.Sleep(time.Millisecond)
	}
}

// bytes is the world's log as its archive and ring have it.
func (w *world) bytes(from, to uint64) []byte {
	w.t.Helper()
	r, err := archive.OpenReader(w.lane.files(), w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	defer r.Close()
	if err := r.Seek(from); err != nil {
		w.t.Fatal(err)
	}
	var b []byte
	for from < to {
		records, _, err := r.Raw(int(to - from))
		if err != nil {
			w.t.Fatal(err)
		}
		if len(records) == 0 {
			w.t.Fatalf("the archive ends at %d", from)
		}
		b, from = append(b, records...), from+uint64(len(records))
	}
	return b
}
