package ship

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"onebeat/engine/app"
	"onebeat/mirror/archive"
	"onebeat/mirror/disk"
	"onebeat/mirror/ring"
)

// bed is a ring whose log is archived, and a store.
type bed struct {
	t      *testing.T
	tail   uint64
	ring   *ring.Ring
	status archive.Status // as of the last archive
	keep   uint64
	o      archive.Options
	dir    string
	timeNs int64
	dice   *rand.Rand
}

const bedRing = 1 << 20

func newBed(t *testing.T, segmentBytes int64, compress bool) *bed {
	t.Helper()
	b := &bed{t: t, dir: filepath.Join(t.TempDir(), "a-lane0"), timeNs: 1e18, keep: archive.NoKeep, dice: rand.New(rand.NewPCG(1, 2))}
	var err error
	if b.ring, err = ring.New(make([]byte, bedRing+ring.SlackBytes), bedRing, &b.tail); err != nil {
		t.Fatal(err)
	}
	b.o = archive.Options{Dir: b.dir, Node: 1, SegmentBytes: segmentBytes, Compress: compress, Wall: func() int64 { return b.timeNs }}
	b.archive()
	return b
}

// write appends records of an epoch and archives them.
func (b *bed) write(bytes int, epoch uint32) {
	b.t.Helper()
	payload := make([]byte, 500)
	for end := b.ring.Tail() + uint64(bytes); b.ring.Tail() < end; {
		for range 500 {
			b.timeNs++
			for i := range payload {
				payload[i] = byte(b.dice.Uint32())
			}
			if _, _, ok := b.ring.Append(app.RecordMessage, epoch, b.timeNs, payload[:8+b.dice.IntN(490)]); !ok {
				b.t.Fatal("the ring is full")
			}
		}
		b.archive()
	}
}

// archive runs an archiver until everything is archived, and compressed if it is
// to be.
func (b *bed) archive() {
	b.t.Helper()
	f, err := archive.NewFollower(b.o, b.ring)
	if err != nil {
		b.t.Fatal(err)
	}
	f.Keep(b.keep)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	began := time.Now()
	go func() { ended <- f.Run(ctx, func() int64 { return int64(time.Since(began)) }) }()
	for !b.archived(f) && time.Since(began) < time.Minute {
		time.Sleep(time.Millisecond)
	}
	b.status = f.Status()
	cancel()
	if err := <-ended; err != nil {
		b.t.Fatal(err)
	}
	if b.status.End != b.ring.Tail() {
		b.t.Fatalf("not archived: %+v", b.status)
	}
}

func (b *bed) archived(f *archive.Follower) bool {
	if f.Status().End != b.ring.Tail() || f.Archived() != b.ring.Tail() {
		return false
	}
	list, err := archive.List(disk.OS{}, b.dir)
	if err != nil {
		b.t.Fatal(err)
	}
	sum := int64(0)
	for i := range list {
		if list[i].Sealed && b.o.Compress && !list[i].Compressed {
			return false
		}
		sum += list[i].FileBytes
	}
	return b.o.RetainBytes == 0 || sum <= b.o.RetainBytes || b.keep < list[0].Seal.End
}

func (b *bed) shipper(s Store) *Shipper {
	return New(Options{Store: s, Dir: b.dir, Node: 1, Wall: func() int64 { return time.Now().UnixNano() }})
}

func directory(t *testing.T) *Directory {
	t.Helper()
	d, err := NewDirectory(disk.OS{}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func step(t *testing.T, s *Shipper) {
	t.Helper()
	if err := s.Step(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// restored brings a store's log back and proves every byte of it.
func restored(t *testing.T, s Store) (*Restored, *archive.Verified, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "back")
	r, err := Restore(context.Background(), RestoreOptions{Store: s, Prefix: "a-lane0", Dir: dir, Snapshots: dir + "-snapshots"})
	if err != nil {
		t.Fatal(err)
	}
	v, err := archive.Verify(disk.OS{}, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(v.Problems) > 0 {
		t.Fatalf("what came back is harmed: %v", v.Problems)
	}
	if v.End != r.End || v.Begin != r.Begin {
		t.Fatalf("restored %d to %d, the archive has %d to %d", r.Begin, r.End, v.Begin, v.End)
	}
	return r, v, dir
}

// sameRecords compares what came back with the archive it came from, up to end.
func (b *bed) sameRecords(dir string, begin, end uint64) {
	b.t.Helper()
	x, err := archive.OpenReader(disk.OS{}, b.dir)
	if err != nil {
		b.t.Fatal(err)
	}
	defer x.Close()
	y, err := archive.OpenReader(disk.OS{}, dir)
	if err != nil {
		b.t.Fatal(err)
	}
	defer y.Close()
	if err := x.Seek(begin); err != nil {
		b.t.Fatal(err)
	}
	if err := y.Seek(begin); err != nil {
		b.t.Fatal(err)
	}
	for y.Position() < end {
		var p, q app.Record
		mp, err := x.Next(&p)
		if err != nil {
			b.t.Fatal(err)
		}
		mq, err := y.Next(&q)
		if err != nil {
			b.t.Fatal(err)
		}
		if mp != mq || p.Position != q.Position || string(p.Payload) != string(q.Payload) || p.Epoch != q.Epoch {
			b.t.Fatalf("record at %d is not the one at %d", p.Position, q.Position)
		}
		if !mq {
			return
		}
	}
}

func writeFile(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
