package archive

import (
	"bytes"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"onebeat/mirror/disk"
	"onebeat/mirror/ring"
)

// copyDir copies a flat directory.
func copyDir(t testing.TB, from string) string {
	t.Helper()
	to := filepath.Join(memoryDir(t), "copy")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

// newest returns the segment being written.
func newest(t testing.TB, dir string) Segment {
	t.Helper()
	list, err := List(disk.OS{}, dir)
	if err != nil || len(list) == 0 {
		t.Fatal(len(list), err)
	}
	return list[len(list)-1]
}

// begun makes an archive with a closed and an open segment, its process dead.
func begun(t testing.TB, o Options) *bed {
	b := newBed(t, o)
	b.put(600)
	b.step()
	for s := newest(t, b.o.Dir); b.tail-s.first < MinSegmentBytes/3; s = newest(t, b.o.Dir) {
		b.put(1)
		b.step()
	}
	if err := b.f.Close(); err != nil {
		t.Fatal(err)
	}
	return b
}

// wantPrefix opens an archive after a crash, wants the first records of the log
// up to a position, lets the ring give the rest again and wants them all.
func (b *bed) wantPrefix(dir string, upTo uint64) {
	b.t.Helper()
	all := b.ringRecords()
	o := b.o
	o.Dir, b.notes = dir, nil
	w, err := Open(o)
	if err != nil {
		b.t.Fatalf("cut to %d: %v", upTo, err)
	}
	if w.End() != upTo {
		b.t.Fatalf("the archive ends at %d, want %d: %v", w.End(), upTo, b.notes)
	}
	if err := w.Close(); err != nil {
		b.t.Fatal(err)
	}
	got, err := readAll(b.t, dir)
	if err != nil {
		b.t.Fatal(err)
	}
	for i, k := range got {
		if k != all[i] {
			b.t.Fatalf("record %d differs", i)
		}
	}
	if v := mustVerify(b.t, dir); len(v.Problems) > 0 || v.End != upTo {
		b.t.Fatalf("%+v", v)
	}
	was := b.o.Dir
	b.o.Dir = dir
	b.follow()
	b.step()
	b.wantSame()
	if err := b.f.Close(); err != nil {
		b.t.Fatal(err)
	}
	b.o.Dir = was
}

// wholeBefore returns the end of the last record of the ring that ends at or
// before a position.
func (b *bed) wholeBefore(position uint64) uint64 {
	end := uint64(0)
	for end < b.tail {
		var n uint64
		if view, next := b.ring.Batch(end, ring.MaxRecordBytes); len(view) > 0 {
			_, n, _ = b.ring.Read(end)
			if n > next {
				n = next
			}
		}
		if n == 0 || n > position {
			return end
		}
		end = n
	}
	return end
}

// A crash in the middle of a write: the file ends, or is zero, from any byte of
// its last two records on, and from random places.
func TestCutAnywhere(t *testing.T) {
	for _, policy := range []Sync{SyncNone, SyncBatch} {
		b := begun(t, Options{Sync: policy})
		s := newest(t, b.o.Dir)
		file, err := os.ReadFile(s.Path)
		if err != nil {
			t.Fatal(err)
		}
		all := b.ringRecords()
		from, to := int(all[len(all)-2].position-s.first)+HeaderBytes, int(b.tail-s.first)+HeaderBytes
		var places []int
		for at := from; at <= to; at++ {
			places = append(places, at)
		}
		for range 30 {
			places = append(places, HeaderBytes+b.rng.IntN(to-HeaderBytes))
		}
		for i, at := range places {
			if i < to-from && i%7 != 0 && (testing.Short() || policy == SyncBatch) {
				continue
			}
			dir := copyDir(t, b.o.Dir)
			cut := bytes.Clone(file[:at])
			if i%2 == 0 {
				cut = append(cut, make([]byte, len(file)-at)...)
			}
			if err := os.WriteFile(filepath.Join(dir, filepath.Base(s.Path)), cut, 0o600); err != nil {
				t.Fatal(err)
			}
			// Bytes of a record that were zero anyway are not missed.
			want := b.wholeBefore(s.first + uint64(at-HeaderBytes))
			if got := b.wholeBefore(s.first + uint64(len(bytes.TrimRight(cut, "\x00"))-HeaderBytes)); got > want {
				want = got
			}
			for end := b.wholeBefore(want + ring.MaxRecordBytes); end > want; end = b.wholeBefore(end - 1) {
				if bytes.Equal(append(bytes.Clone(cut), make([]byte, len(file))...)[:int(end-s.first)+HeaderBytes], file[:int(end-s.first)+HeaderBytes]) {
					want = end
					break
				}
			}
			b.wantPrefix(dir, want)
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Every flipped bit is found, and its file and position named; what is whole is
// said to be salvageable, and nothing harmed is ever read as a record.
func TestFlippedBits(t *testing.T) {
	for _, c := range []struct {
		name string
		o    Options
	}{{"plain", Options{Sync: SyncBatch}}, {"compressed", Options{Sync: SyncBatch, Compress: true}}} {
		t.Run(c.name, func(t *testing.T) {
			b := begun(t, c.o)
			all := b.ringRecords()
			names, err := disk.OS{}.List(b.o.Dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range names {
				if name == NotesFile {
					continue
				}
				for range 60 {
					b.flip(name, all)
				}
			}
		})
	}
}

func (b *bed) flip(name string, all []kept) {
	b.t.Helper()
	dir := copyDir(b.t, b.o.Dir)
	path := filepath.Join(dir, name)
	file, err := os.ReadFile(path)
	if err != nil {
		b.t.Fatal(err)
	}
	used := len(file)
	last := newest(b.t, dir)
	if path == last.Path { // behind its last record there is only room
		used = HeaderBytes + int(b.tail-last.first)
	}
	at := b.rng.IntN(used)
	file[at] ^= 1 << b.rng.IntN(8)
	if err := os.WriteFile(path, file, 0o600); err != nil {
		b.t.Fatal(err)
	}
	v := mustVerify(b.t, dir)
	named := false
	for _, p := range v.Problems {
		named = named || p.File == path
	}
	// Of a record without a follower nobody can say that it was whole once.
	if !named && !(path == last.Path && v.End < b.tail) && !sameContent(b.t, b.o.Dir, dir, name) {
		b.t.Fatalf("bit in byte %d of %s not found: %+v", at, name, v)
	}
	got, err := readAll(b.t, dir)
	index := map[uint64]kept{}
	for _, k := range all {
		index[k.position] = k
	}
	for _, k := range got {
		if index[k.position] != k {
			b.t.Fatalf("byte %d of %s: a record was read that nobody wrote: %+v", at, name, k)
		}
	}
	if err != nil && len(v.Problems) == 0 {
		b.t.Fatal(err)
	}
	salvage := uint64(0)
	for _, r := range v.Salvageable {
		salvage += r.To - r.From
	}
	if lost := b.tail - salvage; lost > MinSegmentBytes {
		b.t.Fatalf("byte %d of %s: %d bytes not salvageable: %+v", at, name, lost, v)
	}
	// The next process goes on, says what it saw, and the ring mends what it holds.
	o := b.o
	o.Dir = dir
	w, err := Open(o)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		b.t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		b.t.Fatal(err)
	}
}

// sameContent: a zstd frame has a bit without a meaning, and its table of frames
// repeats what the frames say.
func sameContent(t testing.TB, a, b, name string) bool {
	t.Helper()
	_, suffix, _ := parseName(name)
	if suffix != compressedSuffix {
		return false
	}
	x, err := openContent(disk.OS{}, filepath.Join(a, name), true)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	y, err := openContent(disk.OS{}, filepath.Join(b, name), true)
	if err != nil {
		return false
	}
	defer y.Close()
	p, q := make([]byte, MinSegmentBytes), make([]byte, MinSegmentBytes)
	n, _ := readUpTo(x, p, 0)
	m, err := readUpTo(y, q, 0)
	return err == nil && n == m && bytes.Equal(p, q)
}

// Records that somebody changed together with their checksums are found by the
// chain.
func TestForgedRecord(t *testing.T) {
	b := begun(t, Options{Sync: SyncBatch})
	for _, closed := range []bool{true, false} {
		dir := copyDir(t, b.o.Dir)
		list, err := List(disk.OS{}, dir)
		if err != nil {
			t.Fatal(err)
		}
		s := list[0]
		if !closed {
			s = list[len(list)-1]
			if _, offset, _, _ := readIndex(disk.OS{}, s.IndexPath(), 0, s.first); offset == entryBytes {
				continue // no block has ended there
			}
		}
		file, err := os.ReadFile(s.Path)
		if err != nil {
			t.Fatal(err)
		}
		forge(t, file, s.first)
		if err := os.WriteFile(s.Path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		if v := mustVerify(t, dir); len(v.Problems) == 0 || v.Problems[0].File != s.Path {
			t.Errorf("not found: %+v", v)
		}
	}
}

// forge changes a record's payload and makes its checksum fit.
func forge(t testing.TB, file []byte, first uint64) {
	t.Helper()
	var tail uint64
	r, err := ring.New(make([]byte, bedRing+ring.SlackBytes), bedRing, &tail)
	if err != nil {
		t.Fatal(err)
	}
	for at := uint64(0); ; {
		rec, state := decodeAt(file[HeaderBytes+at:], first+at)
		if state != ring.Found {
			t.Fatal(state)
		}
		n := uint64(ring.PaddedBytes(len(rec.Payload)))
		if len(rec.Payload) > 8 {
			r.Reset(first+at, 0)
			payload := bytes.Clone(rec.Payload)
			payload[0] ^= 1
			if _, _, ok := r.Append(rec.Type, rec.Epoch, rec.TimeNs, payload); !ok {
				t.Fatal("no room")
			}
			copy(file[HeaderBytes+at:], r.Bytes(first+at, first+at+n))
			return
		}
		at += n
	}
}

// Every call of the filesystem fails once, in every way: nothing is harmed, the
// follower says so and goes on.
func TestEveryCallFails(t *testing.T) {
	for _, c := range []struct {
		name string
		o    Options
	}{{"batch", Options{Sync: SyncBatch}}, {"none compressed", Options{Compress: true}}, {"direct", Options{Sync: SyncInterval, Direct: true}}} {
		t.Run(c.name, func(t *testing.T) {
			calls := failAt(t, c.o, -1, disk.Fault{})
			step := 1
			if testing.Short() {
				step = 7
			}
			for n := 0; n < calls; n += step {
				failAt(t, c.o, n, disk.Fault{Err: fs.ErrPermission})
				failAt(t, c.o, n, disk.Fault{Short: true, Bytes: 100})
			}
		})
	}
}

// failAt runs a life with a cut and a restart and lets call n fail; a failing
// sync or write fails three times.
func failAt(t *testing.T, o Options, n int, fault disk.Fault) int {
	t.Helper()
	faulty := &disk.Faulty{FS: disk.OS{}}
	left := 3
	faulty.Rule = func(c disk.Call) disk.Fault {
		if n < 0 || c.N < n || left == 0 {
			return disk.Fault{}
		}
		left--
		return fault
	}
	o.FS, o.Dir = faulty, filepath.Join(memoryDir(t), "lane")
	b := newBed(t, o)
	b.rng = rand.New(rand.NewPCG(9, 9))
	b.put(400)
	b.step()
	all := b.ringRecords()
	if err := b.ring.Cut(all[250].position); err != nil {
		t.Fatal(err)
	}
	b.epoch++
	b.put(100)
	b.step()
	if err := b.f.Close(); err != nil && n < 0 {
		t.Fatal(err)
	}
	b.follow()
	b.put(200)
	b.step()
	b.wantSame()
	if err := b.f.Close(); err != nil && left == 0 {
		t.Fatalf("call %d: %v", n, err)
	}
	if v := mustVerify(t, o.Dir); len(v.Problems) > 0 || v.End != b.tail || len(v.Gaps) > 0 {
		t.Fatalf("call %d, %+v: %+v\n%v", n, fault, v, b.notes)
	}
	if n >= 0 && left == 0 && fault.Err != nil && b.f.Status().Failures == 0 && len(b.notes) == 0 {
		t.Logf("call %d failed and nobody was told", n)
	}
	calls := faulty.Calls()
	if err := os.RemoveAll(o.Dir); err != nil {
		t.Fatal(err)
	}
	return calls
}

// A full disk: the ring goes on, the archive says so and catches up when there is
// room, or says what it missed.
func TestFullDisk(t *testing.T) {
	for _, long := range []bool{false, true} {
		faulty := &disk.Faulty{FS: disk.OS{}}
		b := newBed(t, Options{FS: faulty, Sync: SyncBatch})
		b.put(300)
		b.step()
		full := func(c disk.Call) disk.Fault {
			switch c.Op {
			case disk.OpWrite:
				return disk.Fault{Err: errFull, Bytes: c.Bytes / 2}
			case disk.OpCreate, disk.OpAllocate:
				return disk.Fault{Err: errFull}
			}
			return disk.Fault{}
		}
		faulty.SetRule(full)
		end := b.f.Archived()
		b.put(200)
		b.step()
		if s := b.f.Status(); s.State != "failing" || s.Failures == 0 || s.LastError == "" || s.Archived != end || len(b.said(NoteFailed)) == 0 {
			t.Fatalf("%+v %v", s, b.notes)
		}
		if n := len(b.said(NoteFailed)); n > 4 {
			t.Errorf("said %d times", n)
		}
		if long {
			for b.tail < 2*bedRing {
				b.put(50)
			}
			b.step()
		}
		faulty.SetRule(nil)
		b.step()
		s := b.f.Status()
		if s.State != "following" || s.End != b.tail || s.LastError != "" || s.Gaps > 0 != long || len(b.said(NoteResumed)) != 1 {
			t.Fatalf("long %t: %+v\n%v", long, s, b.notes)
		}
		if v := mustVerify(t, b.o.Dir); len(v.Problems) > 0 || len(v.Gaps) > 0 != long {
			t.Fatalf("%+v", v)
		}
		if !long {
			b.wantSame()
		}
	}
}
