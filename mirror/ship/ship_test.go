package ship

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"onebeat/mirror/archive"
	"onebeat/mirror/disk"
)

func TestShipAndRestore(t *testing.T) {
	b := newBed(t, 128<<10, true)
	b.write(600<<10, 1)
	store := directory(t)
	snapshots := b.dir + "-snapshots"
	for _, p := range []string{"00000000000000001024.snap", "00000000000000002048.snap", "00000000000000004096.snap", "00000000000000008192.snap"} {
		writeFile(t, filepath.Join(snapshots, p), []byte("state "+p))
	}
	s := b.shipper(store)
	s.o.Snapshots = snapshots
	if s.Shipped() != 0 {
		t.Error("shipped before the store was asked")
	}
	step(t, s)
	st := s.Status()
	if st.State != "following" || st.Waiting != 0 || st.Segments < 4 || st.Snapshots != 3 || st.Shipped == 0 || st.LastNs == 0 {
		t.Fatalf("%+v", st)
	}
	if again := st.Objects; func() bool { step(t, s); return s.Status().Objects != again }() {
		t.Error("what is there was shipped again")
	}
	r, v, dir := restored(t, store)
	if r.End != s.Shipped() || r.Begin != 0 || len(r.Gaps) != 0 {
		t.Errorf("%+v", r)
	}
	b.sameRecords(dir, 0, r.End)
	own, err := archive.List(disk.OS{}, b.dir)
	if err != nil || own[st.Segments-1].Seal.Chain.String() != v.Chain {
		t.Errorf("the chain is another: %v", err)
	}
	left, err := os.ReadDir(dir + "-snapshots")
	if err != nil || len(left) != 3 || left[0].Name() != "00000000000000002048.snap" {
		t.Errorf("%v, %v", left, err)
	}

	// The next snapshot takes the place of the oldest; more of the log follows.
	writeFile(t, filepath.Join(snapshots, "00000000000000016384.snap"), []byte("newer"))
	b.write(300<<10, 1)
	step(t, s)
	if r2, _, _ := restored(t, store); r2.End <= r.End {
		t.Errorf("up to %d again", r2.End)
	}
	names, err := store.List(context.Background(), "a-lane0/")
	if err != nil || countSuffix(names, ".snap") != 3 {
		t.Errorf("%v, %v", names, err)
	}
}

func countSuffix(names []string, suffix string) (n int) {
	for _, name := range names {
		if strings.HasSuffix(name, suffix) {
			n++
		}
	}
	return n
}

// A shipper is stopped at calls of its filesystem, once with an
// error and once as a process that is gone: another one goes on, and at every
// moment what the manifest says is whole.
func TestStoppedAnywhere(t *testing.T) {
	b := newBed(t, 64<<10, true)
	b.write(200<<10, 1)
	whole := directory(t)
	step(t, b.shipper(whole))
	want, _, _ := restored(t, whole)
	every := 3
	if testing.Short() {
		every = 17
	}
	for n := 0; ; n += every {
		store := directory(t)
		gone := false
		store.FS = &disk.Faulty{FS: disk.OS{}, Rule: func(c disk.Call) disk.Fault {
			if c.N >= n {
				gone = true
			}
			if gone {
				return disk.Fault{Err: syscall.ENOSPC, Bytes: c.Bytes / 2}
			}
			return disk.Fault{}
		}}
		err := b.shipper(store).Step(context.Background())
		if !gone {
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("stopped at every %d. of %d calls", every, n)
			return
		}
		if err == nil {
			t.Fatalf("call %d failed and nobody noticed", n)
		}
		store.FS = disk.OS{}
		if m, err := readManifest(context.Background(), store, want.path()); err != nil {
			t.Fatalf("call %d: %v", n, err)
		} else if m != nil {
			restored(t, store)
		}
		step(t, b.shipper(store))
		if r, _, _ := restored(t, store); r.End != want.End {
			t.Fatalf("call %d: up to %d, not %d", n, r.End, want.End)
		}
	}
}

func (r *Restored) path() string { return "a-lane0/" + r.Identity }

// The log is cut behind a segment that was shipped, and goes on differently.
func TestCutLog(t *testing.T) {
	b := newBed(t, 64<<10, true)
	b.write(300<<10, 1)
	store := directory(t)
	s := b.shipper(store)
	step(t, s)
	before := s.Shipped()
	cut := before - 100<<10
	rec, at, _ := b.ring.Read(0)
	for at < cut {
		rec, at, _ = b.ring.Read(at)
	}
	if err := b.ring.Cut(rec.Position); err != nil {
		t.Fatal(err)
	}
	b.write(300<<10, 2)
	// Another process goes on.
	step(t, b.shipper(store))
	r, _, dir := restored(t, store)
	b.sameRecords(dir, 0, r.End)
	if r.Manifest.Segments[len(r.Manifest.Segments)-1].LastEpoch != 2 {
		t.Error("the new log is not there")
	}
	if countSuffix(filesOf(r.Manifest), ".log") < 2 {
		t.Errorf("notes and what was cut off are missing: %v", filesOf(r.Manifest))
	}
	names, _ := store.List(context.Background(), "")
	if n := countSuffix(names, ".seg.zst"); n != r.Segments {
		t.Errorf("%d segments are in the store, %d count", n, r.Segments)
	}
}

func filesOf(m *Manifest) (names []string) {
	for _, f := range m.Files {
		names = append(names, f.Name)
	}
	return names
}

// Retention waits for the store, and what was retired locally stays in the store.
func TestRetention(t *testing.T) {
	b := newBed(t, 64<<10, false)
	b.o.RetainBytes, b.keep = 256<<10, 0
	b.write(800<<10, 1)
	if begin := b.status.Begin; begin != 0 {
		t.Fatalf("removed up to %d before it was shipped", begin)
	}
	store := directory(t)
	s := b.shipper(store)
	step(t, s)
	b.keep = s.Shipped()
	b.archive()
	if begin := b.status.Begin; begin == 0 || begin > s.Shipped() {
		t.Errorf("begins at %d", begin)
	}
	b.write(200<<10, 1)
	step(t, s)
	r, _, _ := restored(t, store)
	if r.Begin != 0 || len(r.Gaps) != 0 || r.End != s.Shipped() {
		t.Errorf("%+v", r)
	}

	// The disk is replaced: what it has from now on follows what was shipped.
	if err := os.RemoveAll(b.dir); err != nil {
		t.Fatal(err)
	}
	b.archive()
	step(t, b.shipper(store))
	if lives, err := Find(context.Background(), store, "a-lane0"); err != nil || len(lives) != 2 {
		t.Errorf("%d lives, %v", len(lives), err)
	}
	restored(t, store)
	old, err := Restore(context.Background(), RestoreOptions{Store: store, Prefix: "a-lane0", Identity: r.Identity, Dir: t.TempDir()})
	if err != nil || old.End != r.End {
		t.Errorf("%+v, %v", old, err)
	}
}

// Segments are compressed and retired while they are shipped.
func TestShipWhileKept(t *testing.T) {
	b := newBed(t, 64<<10, true)
	b.o.RetainBytes = 512 << 10
	store := directory(t)
	s := b.shipper(store)
	ctx, cancel := context.WithCancel(context.Background())
	s.o.EveryNs = int64(time.Millisecond)
	ended := make(chan struct{})
	go func() { s.Run(ctx); close(ended) }()
	for range 20 {
		b.keep = s.Shipped()
		b.write(100<<10, 1)
	}
	cancel()
	<-ended
	step(t, s)
	if st := s.Status(); st.Failures > 0 {
		t.Errorf("%+v", st)
	}
	if r, _, _ := restored(t, store); r.Begin != 0 || len(r.Gaps) > 0 {
		t.Errorf("%+v", r)
	}
}

// What the store harmed is named, and nothing of it comes back.
func TestHarmedStore(t *testing.T) {
	b := newBed(t, 64<<10, true)
	b.write(200<<10, 1)
	store := directory(t)
	step(t, b.shipper(store))
	names, err := store.List(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		path := store.path(name)
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []int{0, len(good) / 2, len(good) - 1} {
			bad := append([]byte(nil), good...)
			bad[at] ^= 0x10
			writeFile(t, path, bad)
			_, err := Restore(context.Background(), RestoreOptions{Store: store, Prefix: "a-lane0", Dir: t.TempDir()})
			if err == nil || !strings.Contains(err.Error(), filepath.Base(name)) {
				t.Errorf("%s with byte %d harmed: %v", name, at, err)
			}
		}
		writeFile(t, path, good[:len(good)-1])
		if _, err := Restore(context.Background(), RestoreOptions{Store: store, Prefix: "a-lane0", Dir: t.TempDir()}); err == nil {
			t.Errorf("%s cut short came back", name)
		}
		writeFile(t, path, good)
	}
	restored(t, store)
}

func TestManifestRefuses(t *testing.T) {
	for name, m := range map[string]*Manifest{
		"version":  {Version: 2},
		"overlap":  {Version: 1, Segments: []Segment{{File: File{Name: "a", Object: "a"}, First: 0, End: 64}, {File: File{Name: "b", Object: "b"}, First: 32, End: 96}}},
		"outside":  {Version: 1, Files: []File{{Name: "../../etc/passwd", Object: "x"}}},
		"hidden":   {Version: 1, Files: []File{{Name: "..", Object: "x"}}},
		"snapshot": {Version: 1, Snapshots: []Snapshot{{File: File{Name: "a/b", Object: "x"}}}},
	} {
		b, err := m.encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeManifest(b); !errors.Is(err, ErrManifest) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzManifest(f *testing.F) {
	b, _ := (&Manifest{Version: 1, Segments: []Segment{{File: File{Name: "a", Object: "a"}, End: 64}}}).encode()
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := decodeManifest(b); err == nil && m.End() < m.Begin() {
			t.Error("ends before it begins")
		}
	})
}

func TestStoreMustBeThere(t *testing.T) {
	if _, err := NewDirectory(nil, filepath.Join(t.TempDir(), "not-mounted")); err == nil {
		t.Error("a directory that is not there was taken for a store")
	}
	_, err := Restore(context.Background(), RestoreOptions{Store: directory(t), Prefix: "a-lane0", Dir: t.TempDir()})
	if !errors.Is(err, ErrNothing) {
		t.Error(err)
	}
}

func TestRestoreGoesOn(t *testing.T) {
	b := newBed(t, 64<<10, true)
	b.write(300<<10, 1)
	store := directory(t)
	step(t, b.shipper(store))
	dir := filepath.Join(t.TempDir(), "back")
	files := &disk.Faulty{FS: disk.OS{}}
	files.SetRule(func(c disk.Call) disk.Fault {
		if c.N > 30 {
			return disk.Fault{Err: syscall.EIO}
		}
		return disk.Fault{}
	})
	o := RestoreOptions{Store: store, Prefix: "a-lane0", Dir: dir, FS: files}
	if _, err := Restore(context.Background(), o); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	files.SetRule(nil)
	r, err := Restore(context.Background(), o)
	if err != nil || r.Fetched >= 2*r.Segments+1 {
		t.Errorf("%+v, %v: everything was fetched again", r, err)
	}
	if _, err := Restore(context.Background(), RestoreOptions{Store: store, Prefix: "a-lane0", Dir: b.dir}); err == nil {
		t.Error("an archive of another place was taken for a restore")
	}
}

func TestRate(t *testing.T) {
	store := directory(t)
	ctx := WithRate(context.Background(), 1<<20)
	began := time.Now()
	if err := store.Put(ctx, "a", bytesContent(make([]byte, 300<<10))); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 150*time.Millisecond {
		t.Errorf("300 KiB at 1 MiB/s took %v", took)
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if err := store.Put(ctx, "b", bytesContent(make([]byte, 300<<10))); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}
