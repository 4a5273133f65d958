package archive

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"onebeat/engine/app"
	"onebeat/mirror/disk"
	"onebeat/mirror/ring"
)

// bed is a ring and what follows it into an archive, stepped by the test.
type bed struct {
	t     testing.TB
	rng   *rand.Rand
	tail  uint64
	ring  *ring.Ring
	o     Options
	f     *Follower
	notes []Note
	epoch uint32
	laneN int64
	nowNs int64
}

const bedRing = 1 << 20

func newBed(t testing.TB, o Options) *bed {
	t.Helper()
	b := &bed{t: t, rng: rand.New(rand.NewPCG(1, 2)), epoch: 1, laneN: 1000}
	b.emptyRing()
	if o.Dir == "" {
		o.Dir = filepath.Join(t.TempDir(), "lane")
	}
	if o.SegmentBytes == 0 {
		o.SegmentBytes = MinSegmentBytes
	}
	o.Wall = func() int64 { return b.laneN }
	o.Note = func(n Note) { b.notes = append(b.notes, n) }
	b.o = o
	b.follow()
	t.Cleanup(func() {
		if err := b.f.Close(); err != nil {
			t.Log(err)
		}
	})
	return b
}

// emptyRing makes a ring that lost its memory.
func (b *bed) emptyRing() {
	b.tail = 0
	r, err := ring.New(make([]byte, bedRing+ring.SlackBytes), bedRing, &b.tail)
	if err != nil {
		b.t.Fatal(err)
	}
	b.ring = r
}

// follow starts a follower, as a new process would.
func (b *bed) follow() {
	f, err := NewFollower(b.o, b.ring)
	if err != nil {
		b.t.Fatal(err)
	}
	b.f = f
}

func (b *bed) restart() {
	b.t.Helper()
	if err := b.f.Close(); err != nil {
		b.t.Fatal(err)
	}
	b.follow()
}

// put appends count records of random lengths.
func (b *bed) put(count int) {
	b.t.Helper()
	for range count {
		payload := make([]byte, b.rng.IntN(300))
		for i := range payload {
			payload[i] = byte(b.rng.Uint32())
		}
		b.laneN += int64(b.rng.IntN(1000))
		if _, _, ok := b.ring.Append(app.RecordMessage, b.epoch, b.laneN, payload); !ok {
			b.t.Fatal("not appended")
		}
	}
}

// step lets the follower do what there is, closed segments too.
func (b *bed) step() {
	for idle := 0; idle < 6; {
		b.nowNs += 2_000_000_000
		if b.f.Step(b.nowNs) == 0 {
			idle++
		}
		select {
		case s := <-b.f.jobs:
			b.f.Pack(s)
			idle = 0
		default:
		}
	}
}

// kept is what a test remembers of a record.
type kept struct {
	position uint64
	timeNs   int64
	epoch    uint32
	payload  string
}

func keptOf(r *app.Record) kept { return kept{r.Position, r.TimeNs, r.Epoch, string(r.Payload)} }

// ringRecords reads all the ring holds.
func (b *bed) ringRecords() (list []kept) {
	b.t.Helper()
	if _, err := b.ring.Scan(b.ring.Oldest(), b.ring.Tail(), func(r *app.Record) bool {
		if r.Type != app.RecordPadding {
			list = append(list, keptOf(r))
		}
		return true
	}); err != nil {
		b.t.Fatal(err)
	}
	return list
}

// readAll reads an archive; the error is what ended it.
func readAll(t testing.TB, dir string) (list []kept, err error) {
	t.Helper()
	r, err := OpenReader(disk.OS{}, dir)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	for {
		var rec app.Record
		more, err := r.Next(&rec)
		if !more || err != nil {
			return list, err
		}
		list = append(list, keptOf(&rec))
	}
}

func (b *bed) wantSame() {
	b.t.Helper()
	got, err := readAll(b.t, b.o.Dir)
	if err != nil {
		b.t.Fatal(err)
	}
	want := b.ringRecords()
	if len(got) < len(want) {
		b.t.Fatalf("%d records archived, the ring holds %d\n%v", len(got), len(want), b.notes)
	}
	got = got[len(got)-len(want):]
	for i := range got {
		if got[i] != want[i] {
			b.t.Fatalf("record %d: %+v, want %+v", i, got[i], want[i])
		}
	}
}

func (b *bed) said(k NoteKind) (list []Note) {
	for _, n := range b.notes {
		if n.Kind == k {
			list = append(list, n)
		}
	}
	return list
}

// What goes into the ring comes out of the archive, however it is written.
func TestRoundTrip(t *testing.T) {
	for _, c := range []struct {
		name string
		o    Options
	}{
		{"none", Options{}},
		{"interval", Options{Sync: SyncInterval}},
		{"batch", Options{Sync: SyncBatch}},
		{"direct", Options{Sync: SyncBatch, Direct: true}},
		{"compressed", Options{Compress: true}},
		{"direct compressed", Options{Sync: SyncInterval, Direct: true, Compress: true, SegmentBytes: 128 << 10}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBed(t, c.o)
			for round := range 40 {
				if round%10 == 9 {
					b.epoch++
				}
				b.put(b.rng.IntN(80))
				b.step()
				if round%13 == 12 {
					b.restart()
				}
			}
			b.step()
			b.wantSame()
			if s := b.f.Status(); s.State != "following" || s.Archived != b.tail || s.End != b.tail || s.Failures+s.Gaps+s.Damages > 0 {
				t.Errorf("%+v, tail %d", s, b.tail)
			}
			if b.ring.Oldest() != 0 {
				t.Fatal("the ring is too small for this test")
			}
			v := mustVerify(t, b.o.Dir)
			if len(v.Problems) > 0 || v.End != b.tail || v.Begin != 0 {
				t.Errorf("%+v", v)
			}
			if n := len(b.said(NoteDamage)) + len(b.said(NoteTorn)) + len(b.said(NoteGap)); n > 0 {
				t.Errorf("%v", b.notes)
			}
		})
	}
}

func mustVerify(t testing.TB, dir string) *Verified {
	t.Helper()
	v, err := Verify(disk.OS{}, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Two nodes' archives of one log have the same chain, whenever they wrote what.
func TestChainIsOfTheLogAlone(t *testing.T) {
	b := newBed(t, Options{})
	other := *b
	other.o.Dir = filepath.Join(t.TempDir(), "other")
	other.o.Compress = true
	other.follow()
	for range 30 {
		b.put(b.rng.IntN(60))
		if b.rng.IntN(2) == 0 {
			b.step()
		}
		if b.rng.IntN(5) == 0 {
			other.restart()
		}
		if b.rng.IntN(3) == 0 {
			other.step()
		}
	}
	b.step()
	other.step()
	x, y := mustVerify(t, b.o.Dir), mustVerify(t, other.o.Dir)
	if x.Chain != y.Chain || x.Identity != y.Identity || x.Identity == (Identity{}).String() {
		t.Errorf("%+v\n%+v", x, y)
	}
	if err := other.f.Close(); err != nil {
		t.Error(err)
	}
}

// A rejoining node's ring is cut; so is the archive, at the same place, and what
// goes is kept.
func TestCut(t *testing.T) {
	for _, c := range []struct {
		name             string
		alive, refilled  bool
		compress, direct bool
	}{
		{name: "seen", alive: true},
		{name: "seen late", alive: true, refilled: true},
		{name: "by another process"},
		{name: "by another process, refilled", refilled: true},
		{name: "compressed", alive: true, compress: true},
		{name: "direct", refilled: true, direct: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			for seed := range uint64(6) {
				b := newBed(t, Options{Sync: SyncBatch, Compress: c.compress, Direct: c.direct})
				b.rng = rand.New(rand.NewPCG(seed, 3))
				b.put(800)
				b.step()
				before := b.ringRecords()
				at := 1 + b.rng.IntN(len(before)-1)
				if !c.alive {
					if err := b.f.Close(); err != nil {
						t.Fatal(err)
					}
				}
				if err := b.ring.Cut(before[at].position); err != nil {
					t.Fatal(err)
				}
				if c.refilled {
					b.epoch++
					b.put(b.rng.IntN(900))
				}
				if !c.alive {
					b.follow()
				}
				b.step()
				b.epoch++
				b.put(500)
				b.step()
				b.wantSame()
				if s := b.f.Status(); s.End != b.tail || s.Cuts != 1 {
					t.Fatalf("seed %d: %+v, tail %d, %v", seed, s, b.tail, b.notes)
				}
				if v := mustVerify(t, b.o.Dir); len(v.Problems) > 0 {
					t.Fatalf("%+v", v.Problems)
				}
				cut := b.said(NoteCut)
				raw, err := os.ReadFile(cut[0].File)
				if err != nil || cut[0].Position != before[at].position || uint64(len(raw)) != cut[0].Bytes {
					t.Fatalf("%v %v %d", cut, err, len(raw))
				}
				var rec app.Record
				if _, state := ring.Decode(raw, cut[0].Position, &rec); state != ring.Found || keptOf(&rec) != before[at] {
					t.Fatalf("%v %+v", state, rec)
				}
				if text, err := os.ReadFile(filepath.Join(b.o.Dir, NotesFile)); err != nil || !strings.Contains(string(text), `"kind":"cut"`) {
					t.Fatalf("%v %s", err, text)
				}
			}
		})
	}
}

// A ring that lost its memory and is filled again by its peer goes on in the same
// archive; one of another life does not.
func TestAlignment(t *testing.T) {
	b := newBed(t, Options{})
	b.put(300)
	old := b.ring
	b.step()
	if err := b.f.Close(); err != nil {
		t.Fatal(err)
	}
	b.put(200)
	end := b.tail
	records := bytes.Clone(old.Bytes(0, end))
	b.emptyRing()
	b.follow()
	b.step()
	if s := b.f.Status(); s.State != "comparing" || s.Archived != 0 {
		t.Errorf("%+v", s)
	}
	for at := uint64(0); at < end; {
		var rec app.Record
		next, state := ring.Decode(records[at:], at, &rec)
		if state != ring.Found {
			t.Fatal(state)
		}
		if err := b.ring.WriteRaw(at, records[at:next]); err != nil {
			t.Fatal(err)
		}
		at = next
		if at%7 == 0 {
			b.step()
		}
	}
	b.step()
	b.wantSame()
	if len(b.notes) > 0 {
		t.Errorf("%v", b.notes)
	}
	if err := b.f.Close(); err != nil {
		t.Fatal(err)
	}
	b.emptyRing()
	b.rng = rand.New(rand.NewPCG(77, 77))
	b.put(100)
	b.follow()
	b.step()
	b.wantSame()
	aside := b.said(NoteAside)
	if len(aside) != 1 {
		t.Fatalf("%v", b.notes)
	}
	if got, err := readAll(t, aside[0].File); err != nil || len(got) != 500 {
		t.Errorf("%d records of the life before: %v", len(got), err)
	}
}

// A ring that was faster leaves a gap that everyone is told of.
func TestLapped(t *testing.T) {
	b := newBed(t, Options{Sync: SyncInterval})
	b.put(100)
	b.step()
	before, _ := readAll(t, b.o.Dir)
	end := b.tail
	for b.tail < 3*bedRing {
		b.put(100)
	}
	b.step()
	b.put(50)
	b.step()
	s := b.f.Status()
	if s.Gaps != 1 || s.MissedByte == 0 || s.End != b.tail {
		t.Errorf("%+v", s)
	}
	got, err := readAll(t, b.o.Dir)
	var g *Gap
	if !errors.As(err, &g) || g.From != end || g.To != end+s.MissedByte || len(got) != len(before) {
		t.Fatalf("%d records, %v", len(got), err)
	}
	r, err := OpenReader(disk.OS{}, b.o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.Seek(g.To); err != nil {
		t.Fatal(err)
	}
	count := 0
	for {
		var rec app.Record
		more, err := r.Next(&rec)
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			break
		}
		count++
	}
	if count < 500 {
		t.Error(count)
	}
	v := mustVerify(t, b.o.Dir)
	if len(v.Gaps) != 1 || v.Gaps[0] != *g {
		t.Errorf("%+v", v)
	}
}

func TestRetention(t *testing.T) {
	b := newBed(t, Options{RetainBytes: 5 * MinSegmentBytes})
	b.put(3000)
	b.step()
	s := b.f.Status()
	if s.FileBytes > 5*MinSegmentBytes || s.Segments > 5 || s.Begin == 0 || s.End != b.tail {
		t.Errorf("%+v", s)
	}
	if got, err := readAll(t, b.o.Dir); err != nil || len(got) == 0 || got[0].position < s.Begin {
		t.Error(len(got), err)
	}
	b.restart()
	b.put(10)
	b.step()
	if v := mustVerify(t, b.o.Dir); len(v.Problems) > 0 || v.End != b.tail {
		t.Errorf("%+v", v)
	}
	b.f.Keep(b.f.Status().Begin)
	b.put(3000)
	b.step()
	if b.f.Status().Begin != s.Begin {
		t.Errorf("kept records were removed: %+v", b.f.Status())
	}
	b.o.RetainBytes, b.o.RetainNs = 0, 1
	b.restart()
	b.laneN += 100
	b.step()
	if s := b.f.Status(); s.Segments != 1 {
		t.Errorf("%+v", s)
	}
}

// The oldest records of a time or later are found, and a reader follows a writer.
func TestSeekAndFollow(t *testing.T) {
	b := newBed(t, Options{Compress: true})
	b.put(1200)
	b.step()
	all := b.ringRecords()
	r, err := OpenReader(disk.OS{}, b.o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for range 50 {
		want := all[b.rng.IntN(len(all))]
		if err := r.SeekTime(want.timeNs); err != nil {
			t.Fatal(err)
		}
		var rec app.Record
		for rec.TimeNs < want.timeNs {
			if more, err := r.Next(&rec); !more || err != nil {
				t.Fatal(more, err)
			}
		}
		if rec.TimeNs != want.timeNs || rec.Position > want.position || want.position-rec.Position > 4096 {
			t.Fatalf("%+v, want %+v", rec, want)
		}
	}
	if err := r.Seek(all[len(all)-1].position); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for range 100 {
		var rec app.Record
		for {
			more, err := r.Next(&rec)
			if err != nil {
				t.Fatal(err)
			}
			if !more {
				break
			}
			seen++
		}
		b.put(5)
		b.step()
	}
	if seen != 1+99*5 {
		t.Error(seen)
	}
}

func TestNames(t *testing.T) {
	if got := LaneDir("/a", "node-b", 3); got != "/a/node-b-lane3" {
		t.Error(got)
	}
	for _, name := range []string{"", "x.seg", "0000000000000000000x.seg", "00000000000000000000seg", "notes.log"} {
		if _, _, ok := parseName(name); ok {
			t.Error(name)
		}
	}
	if first, suffix, ok := parseName(fileName(77, indexSuffix)); !ok || first != 77 || suffix != indexSuffix {
		t.Error(first, suffix, ok)
	}
	if fmt.Sprint(&Damage{"f", 1, 2, "p"}) != "f: offset 1, position 2: p" || !errors.Is(&Damage{}, ErrDamaged) {
		t.Error("damage")
	}
}

// What an archive said before the log was cut is not said of the log afterwards:
// an answer may wait for it.
func TestHeldKnowsCuts(t *testing.T) {
	b := newBed(t, Options{Sync: SyncBatch})
	b.put(50)
	if n, works := b.f.Held(b.ring.Cuts()); n != 0 || !works {
		t.Errorf("held %d before anything was read, works %t", n, works)
	}
	b.step()
	if n, _ := b.f.Held(b.ring.Cuts()); n != b.tail {
		t.Errorf("held %d of %d", n, b.tail)
	}
	records := b.ringRecords()
	at := records[20].position
	if err := b.ring.Cut(at); err != nil {
		t.Fatal(err)
	}
	b.put(60) // beyond what was held
	if n, _ := b.f.Held(b.ring.Cuts()); n != 0 {
		t.Errorf("held %d of a log that the archive has not seen", n)
	}
	b.step()
	if n, _ := b.f.Held(b.ring.Cuts()); n != b.tail {
		t.Errorf("held %d of %d", n, b.tail)
	}
}
