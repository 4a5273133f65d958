package reader

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"onebeat/engine/app"
	"onebeat/mirror/archive"
	"onebeat/mirror/lane"
	"onebeat/mirror/ring"
	"onebeat/mirror/ringfile"
)

const bedRing = 64 << 10

// bed is a node's end of a lane's memory, with records that count.
type bed struct {
	t     *testing.T
	path  string
	dir   string
	mem   *ringfile.File
	ring  *ring.Ring
	f     *archive.Follower
	count uint64 // of the next record
	epoch uint32
	nowNs int64
}

func newBed(t *testing.T, archived bool) *bed {
	t.Helper()
	b := &bed{t: t, path: filepath.Join(t.TempDir(), "n-lane0.ring"), epoch: 1}
	if archived {
		b.dir = filepath.Join(t.TempDir(), "lane")
	}
	b.open(7)
	t.Cleanup(b.close)
	return b
}

// open is the start of a node.
func (b *bed) open(incarnation uint64) {
	b.t.Helper()
	var err error
	if b.mem, err = ringfile.Open(b.path, bedRing); err != nil {
		b.t.Fatal(err)
	}
	b.mem.Table.Config.Incarnation = incarnation
	if b.ring, err = ring.New(b.mem.Ring, bedRing, &b.mem.Table.Tail); err != nil {
		b.t.Fatal(err)
	}
	b.ring.ShareCuts(&b.mem.Table.Cuts)
	b.mem.Table.SetCommit(lane.CommitTail)
	if b.dir == "" {
		return
	}
	if b.f, err = archive.NewFollower(archive.Options{Dir: b.dir, SegmentBytes: 64 << 10, Wall: func() int64 { return 1 },
		Shared: &b.mem.Table.Archive}, b.ring); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bed) close() {
	b.t.Helper()
	if b.f != nil {
		if err := b.f.Close(); err != nil {
			b.t.Error(err)
		}
		b.f = nil
	}
	if b.mem != nil {
		if err := b.mem.Close(); err != nil {
			b.t.Error(err)
		}
		b.mem = nil
	}
}

func (b *bed) append(n int) {
	b.t.Helper()
	var payload [64]byte
	for range n {
		binary.LittleEndian.PutUint64(payload[:], b.count)
		if _, _, ok := b.ring.Append(app.RecordMessage, b.epoch, int64(1000+b.count), payload[:8+b.count%50]); !ok {
			b.t.Fatal("no room")
		}
		b.count++
	}
}

// archive brings everything to the disk.
func (b *bed) archive() {
	b.t.Helper()
	for n := 0; b.f.Archived() != b.ring.Tail(); n++ {
		if b.nowNs += 1e9; n > 10000 {
			b.t.Fatalf("%+v", b.f.Status())
		}
		b.f.Step(b.nowNs)
	}
}

func (b *bed) reader(uncommitted bool) *Reader {
	b.t.Helper()
	r, err := Open(Config{File: b.path, Archive: b.dir, Uncommitted: uncommitted})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		if err := r.Close(); err != nil {
			b.t.Error(err)
		}
	})
	return r
}

// read takes what there is and wants it to be the records from one number to
// another.
func (b *bed) read(r *Reader, from, to uint64) {
	b.t.Helper()
	var rec app.Record
	for n := from; ; n++ {
		more, err := r.Next(&rec)
		if err != nil {
			b.t.Fatalf("record %d: %v", n, err)
		}
		if !more {
			if n != to {
				b.t.Fatalf("records end at %d, want %d: %q, position %d of %d", n, to, r.Waits(), r.Position(), b.ring.Tail())
			}
			return
		}
		if got := binary.LittleEndian.Uint64(rec.Payload); got != n || n == to || rec.TimeNs != int64(1000+n) {
			b.t.Fatalf("record %d is %d of %d", n, got, to)
		}
	}
}

func TestFollowsRing(t *testing.T) {
	b := newBed(t, false)
	r := b.reader(false)
	b.read(r, 0, 0)
	for n := uint64(0); n < 2000; n += 100 { // several rounds of the ring
		b.append(100)
		b.read(r, n, n+100)
	}
	if r.Laps() != 0 || r.Position() != b.ring.Tail() || r.Waits() != "" {
		t.Error(r.Laps(), r.Position(), r.Waits())
	}
}

// Only what every member of the set holds is seen, whatever this node becomes.
func TestCommitted(t *testing.T) {
	b := newBed(t, false)
	table := b.mem.Table
	r, all := b.reader(false), b.reader(true)
	b.append(10)
	tenth := b.ring.Tail()
	table.SetCommit(lane.CommitPosition) // a standby is taken in
	b.append(10)
	twentieth := b.ring.Tail()
	b.read(r, 0, 10)
	b.read(all, 0, 20)
	atomic.StoreUint64(&table.Peer.Tail, tenth)
	table.SetCommit(lane.CommitPeer)
	b.append(10)
	b.read(r, 10, 10)
	atomic.StoreUint64(&table.Peer.Tail, twentieth)
	b.read(r, 10, 20)
	// Fenced: the standby went on from the 20th. This node's log is cut there.
	table.SetCommit(lane.CommitPosition)
	b.read(all, 20, 30)
	if err := b.ring.Cut(twentieth); err != nil {
		t.Fatal(err)
	}
	table.CutCommit(twentieth)
	b.count, b.epoch = 20, 2
	b.append(5)
	b.read(r, 20, 20)
	table.SetCommit(lane.CommitTail) // STANDBY again
	b.read(r, 20, 25)
	var rec app.Record
	var cut *Cut
	if _, err := all.Next(&rec); !errors.As(err, &cut) || cut.Position != twentieth {
		t.Fatal(err)
	}
	b.read(all, 20, 25)
}

// A reader that was overtaken goes on in the archive and comes back.
func TestLappedGoesOnInArchive(t *testing.T) {
	b := newBed(t, true)
	r := b.reader(false)
	b.append(50)
	b.archive()
	b.read(r, 0, 50)
	for range 40 {
		b.append(200)
		b.archive()
	}
	if b.ring.Holds(r.Position()) {
		t.Fatal("not overtaken")
	}
	b.read(r, 50, b.count)
	if r.Laps() != 1 || r.history.active {
		t.Error(r.Laps(), r.history.active)
	}
	b.append(3)
	b.read(r, b.count-3, b.count)
	// The archive lags, and the ring has overwritten what it lacks.
	from := b.count
	for range 10 {
		b.append(200)
	}
	b.read(r, from, from)
	if r.Waits() == "" {
		t.Error("it does not say what it waits for")
	}
	b.archive() // with a gap
	var rec app.Record
	_, err := r.Next(&rec)
	var gap *archive.Gap
	if !errors.Is(err, ErrLapped) || !errors.As(err, &gap) || gap.From != r.Position() {
		t.Fatal(err)
	}
	if err := r.Seek(gap.To); err != nil {
		t.Fatal(err)
	}
	if more, err := r.Next(&rec); !more || err != nil || rec.Position != gap.To {
		t.Fatal(more, err, rec.Position, gap)
	}
	if n := binary.LittleEndian.Uint64(rec.Payload); n <= from {
		t.Error(n)
	}
}

func TestLappedWithoutArchive(t *testing.T) {
	b := newBed(t, false)
	r := b.reader(false)
	for range 10 {
		b.append(200)
	}
	var rec app.Record
	_, err := r.Next(&rec)
	var gap *archive.Gap
	if !errors.Is(err, ErrLapped) || !errors.As(err, &gap) || gap.From != 0 || gap.To < b.ring.Tail()-bedRing {
		t.Fatal(err)
	}
	if err := r.SeekEnd(); err != nil {
		t.Fatal(err)
	}
	b.read(r, b.count, b.count)
	b.append(2)
	b.read(r, b.count-2, b.count)
}

// What the archive still has of before a cut is not believed.
func TestCutWhileLapped(t *testing.T) {
	b := newBed(t, true)
	r := b.reader(false)
	table := b.mem.Table
	b.append(100)
	b.archive()
	kept := b.ring.Tail()
	table.SetCommit(lane.CommitPosition)
	b.append(100)
	b.archive()
	if err := b.ring.Cut(kept); err != nil {
		t.Fatal(err)
	}
	b.count, b.epoch = 100, 2
	for range 10 { // other records, and more than the ring holds, before the archive learns of it
		b.append(200)
	}
	table.SetCommit(lane.CommitTail)
	b.read(r, 0, 0)
	if r.Waits() == "" {
		t.Error("it does not say what it waits for")
	}
	b.f.Step(b.nowNs)
	var rec app.Record
	for n := uint64(0); n < 100; n++ {
		if more, err := r.Next(&rec); !more || err != nil || rec.Epoch != 1 || binary.LittleEndian.Uint64(rec.Payload) != n {
			t.Fatal(n, more, err, rec)
		}
	}
	if _, err := r.Next(&rec); err != nil && !errors.Is(err, ErrLapped) {
		t.Fatal(err)
	}
}

// A reader outlives the node's memory, but not the lane's log.
func TestNewMemory(t *testing.T) {
	b := newBed(t, false)
	r := b.reader(false)
	b.append(300)
	b.read(r, 0, 300)
	mark := r.Mark()
	reopen := func() {
		t.Helper()
		b.close()
		if err := os.Remove(b.path); err != nil { // node --cleanup
			t.Fatal(err)
		}
		b.open(uint64(time.Now().UnixNano()))
		b.count = 0
	}
	reopen()
	b.append(200) // the peer gives it its log again
	eventually(t, func() bool { b.read(r, 300, 300); return r.Waits() != "" })
	b.append(150)
	var rec app.Record
	eventually(t, func() bool {
		more, err := r.Next(&rec)
		if err != nil {
			t.Fatal(err)
		}
		return more
	})
	if rec.Position < mark.Position || binary.LittleEndian.Uint64(rec.Payload) != 300 {
		t.Error(rec, mark)
	}
	b.read(r, 301, 350)
	reopen()
	b.epoch = 9 // another life
	b.append(400)
	eventually(t, func() bool {
		more, err := r.Next(&rec)
		if more {
			t.Fatalf("a record of another log: %+v", rec)
		}
		return errors.Is(err, ErrOtherLog)
	})
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not in time")
		}
	}
}

func TestMarks(t *testing.T) {
	b := newBed(t, true)
	b.append(100)
	b.archive()
	r := b.reader(false)
	b.read(r, 0, 100)
	mark, err := ParseMark(r.Mark().String())
	if err != nil || mark != r.Mark() || mark.Identity == (archive.Identity{}) {
		t.Fatal(err, mark)
	}
	if m, err := ParseMark(Mark{Position: 64}.String()); err != nil || m.Position != 64 || m.Started {
		t.Error(m, err)
	}
	for _, bad := range []string{"", "x", mark.String() + "0", mark.String()[1:]} {
		if _, err := ParseMark(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
	for range 30 {
		b.append(100)
		b.archive()
	}
	resumed := b.reader(false)
	if err := resumed.Resume(mark); err != nil {
		t.Fatal(err)
	}
	b.read(resumed, 100, b.count)
	var rec app.Record
	for _, c := range []struct {
		name  string
		spoil func(*Mark)
		want  func(error) bool
	}{
		{"another log", func(m *Mark) { m.Identity[0] ^= 1 }, func(err error) bool { return errors.Is(err, ErrOtherLog) }},
		{"another record", func(m *Mark) { m.Checksum ^= 1 }, func(err error) bool {
			var cut *Cut
			return errors.As(err, &cut) && cut.Position == mark.Last
		}},
	} {
		m := mark
		c.spoil(&m)
		r := b.reader(false)
		if err := r.Resume(m); err != nil {
			t.Fatal(err)
		}
		if more, err := r.Next(&rec); more || !c.want(err) {
			t.Errorf("%s: %t %v", c.name, more, err)
		}
	}
}

func TestSeekTime(t *testing.T) {
	b := newBed(t, true)
	for range 30 {
		b.append(100)
		b.archive()
	}
	r := b.reader(false)
	for _, n := range []uint64{0, 1, 777, 2500, 2999} { // in the archive, and in the ring
		if err := r.SeekTime(int64(1000 + n)); err != nil {
			t.Fatal(err)
		}
		b.read(r, n, 3000)
	}
	if err := r.SeekTime(1 << 40); err != nil {
		t.Fatal(err)
	}
	b.read(r, 0, 0)
}

func TestArchiveAlone(t *testing.T) {
	b := newBed(t, true)
	for range 30 {
		b.append(100)
		b.archive()
	}
	if _, err := Open(Config{Archive: b.dir}); !errors.Is(err, ErrConfig) {
		t.Error(err)
	}
	r, err := Open(Config{Archive: b.dir, Uncommitted: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b.read(r, 0, 3000)
	b.append(10)
	b.archive()
	b.read(r, 3000, 3010)
}

func TestHarmedRing(t *testing.T) {
	b := newBed(t, false)
	b.append(100)
	r := b.reader(false)
	b.read(r, 0, 100)
	at := r.Position()
	b.append(5)
	b.mem.Ring[at+ring.HeaderBytes] ^= 1
	var rec app.Record
	if _, err := r.Next(&rec); !errors.Is(err, ErrCorrupt) || r.Position() != at {
		t.Fatal(err)
	}
	b.mem.Ring[at+ring.HeaderBytes] ^= 1
	b.read(r, 100, 105)
}

// A writer, its archive and readers of different haste, all at once: each reader
// sees every record once.
func TestConcurrent(t *testing.T) {
	b := newBed(t, true)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.f.Run(ctx, func() int64 { return time.Now().UnixNano() }) }()
	const count = 100_000
	done := make(chan error, 3)
	for i := range 3 {
		r := b.reader(i == 2)
		go func() {
			n := uint64(0)
			done <- r.Follow(ctx, time.Duration(i)*time.Millisecond, func(rec *app.Record) error {
				if got := binary.LittleEndian.Uint64(rec.Payload); got != n {
					return errors.New("a gap or a double")
				}
				if n++; n == count {
					return context.Canceled
				}
				if i == 1 && n%10_000 == 0 {
					time.Sleep(5 * time.Millisecond)
				}
				return nil
			})
		}()
	}
	deadline := time.Now().Add(30 * time.Second)
	for b.count < count {
		if b.ring.Tail()-b.f.Archived() < bedRing/2 {
			b.append(1)
		} else if time.Sleep(50 * time.Microsecond); time.Now().After(deadline) {
			t.Fatalf("%+v", b.f.Status())
		}
	}
	for range 3 {
		select {
		case err := <-done:
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("a reader does not come to the end")
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	b.f = nil
}

func TestNextAllocatesNothing(t *testing.T) {
	b := newBed(t, false)
	r := b.reader(false)
	var rec app.Record
	payload := make([]byte, 64)
	if n := testing.AllocsPerRun(500, func() {
		b.ring.Append(app.RecordMessage, 1, 0, payload)
		if more, err := r.Next(&rec); !more || err != nil {
			t.Fatal(more, err)
		}
	}); n != 0 {
		t.Error(n)
	}
}

func BenchmarkNext64(b *testing.B) {
	path := filepath.Join(b.TempDir(), "ring")
	m, err := ringfile.Open(path, 1<<20)
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	m.Table.Config.Incarnation = 1
	w, err := ring.New(m.Ring, 1<<20, &m.Table.Tail)
	if err != nil {
		b.Fatal(err)
	}
	m.Table.SetCommit(lane.CommitTail)
	r, err := Open(Config{File: path})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	payload := make([]byte, 64)
	var rec app.Record
	b.ReportAllocs()
	for b.Loop() {
		w.Append(app.RecordMessage, 1, 0, payload)
		if more, err := r.Next(&rec); !more {
			b.Fatal(err)
		}
	}
}
