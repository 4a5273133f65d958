package snapshot

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"onebeat/engine/app"
	"onebeat/mirror/disk"
	"onebeat/mirror/lane"
)

// toy is a machine of words.
type toy struct {
	app.Machine
	words []uint64
}

func (t *toy) Save(w *app.StateWriter) {
	w.Section("toy", 1)
	w.Int("words", len(t.words))
	for _, v := range t.words {
		w.U64("word", v)
	}
	w.End()
}

func (t *toy) Load(r *app.StateReader) error {
	r.Section("toy", 1)
	n := r.Int("words", 1<<20)
	for range n {
		t.words = append(t.words, r.U64())
	}
	r.End()
	return r.Err()
}

func (t *toy) Digest() uint64 {
	d := uint64(0)
	for _, v := range t.words {
		d = app.Fold(d, v)
	}
	return d
}

func toyOf(words int, seed uint64) *toy {
	t := &toy{}
	for i := range words {
		t.words = append(t.words, app.Fold(seed, uint64(i)))
	}
	return t
}

func headerOf(t *toy, position uint64) Header {
	return Header{Lane: 3, Node: 2, Schema: 7, Position: position, Last: position - 64, LastHash: 9, Epoch: 5, TimeNs: 11, WallNs: 12,
		Records: 13, Digest: t.Digest(), Record: lane.Record{}, App: "toy"}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func write(t testing.TB, s *Store, position uint64, words int) File {
	t.Helper()
	x := toyOf(words, position)
	f, err := s.Write(headerOf(x, position), x.Save)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// wantNewest loads the newest and compares it with what was saved there.
func wantNewest(t testing.TB, s *Store, position uint64, words, harmed int) {
	t.Helper()
	f, bad := s.Newest()
	if f == nil || f.Header.Position != position || len(bad) != harmed {
		t.Fatalf("newest %+v, harmed %v, want %d with %d harmed", f, bad, position, harmed)
	}
	var got toy
	if err := f.Load(&got); err != nil {
		t.Fatal(err)
	}
	if want := toyOf(words, position); got.Digest() != want.Digest() || len(got.words) != words {
		t.Fatal("another state")
	}
}

func TestWriteLoadRetain(t *testing.T) {
	s := must(Open(disk.OS{}, filepath.Join(t.TempDir(), "lane"), 2))
	if f, bad := s.Newest(); f != nil || bad != nil {
		t.Fatal(f, bad)
	}
	for i, words := range []int{0, 1, 8187, 8188, 8189, 40000} {
		position := uint64(64 * (i + 1))
		f := write(t, s, position, words)
		if size := must(disk.OS{}.Size(f.Path)); size != f.FileBytes {
			t.Errorf("%d words: %d bytes, said %d", words, size, f.FileBytes)
		}
		wantNewest(t, s, position, words, 0)
	}
	files := must(s.List())
	if len(files) != 2 || files[0].Header.Position != 320 || files[1].Header.App != "toy" || files[1].Header.Lane != 3 {
		t.Fatalf("%+v", files)
	}
	if f, _ := s.NewestBefore(383); f == nil || f.Header.Position != 320 {
		t.Errorf("%+v", f)
	}
}

// TestEveryByteCounts: each byte flipped, and each cut, is found in the file it is
// in and close to where; the one before is used.
func TestEveryByteCounts(t *testing.T) {
	s := must(Open(disk.OS{}, t.TempDir(), 3))
	write(t, s, 64, 50)
	f := write(t, s, 128, 100)
	whole := must(os.ReadFile(f.Path))
	check := func(what string, offset int) {
		t.Helper()
		newest, bad := s.Newest()
		if newest == nil || newest.Header.Position != 64 || len(bad) != 1 || bad[0].File != f.Path || bad[0].Position != 128 {
			t.Fatalf("%s at %d: newest %+v, harmed %v", what, offset, newest, bad)
		}
		if far := bad[0].Offset - int64(offset); far > 0 || far < -BlockBytes-crcBytes {
			t.Fatalf("%s at %d: said to be at %d", what, offset, bad[0].Offset)
		}
	}
	for i := range whole {
		b := bytes.Clone(whole)
		b[i] ^= 0x10
		if err := os.WriteFile(f.Path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		check("flip", i)
		file := f
		if err := file.Load(&toy{}); i >= HeaderBytes && !errors.Is(err, ErrDamaged) {
			t.Fatalf("flip at %d: loaded: %v", i, err)
		}
	}
	for n := range whole {
		if err := os.WriteFile(f.Path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		check("cut", n)
	}
	if err := os.WriteFile(f.Path, append(bytes.Clone(whole), 0), 0o600); err != nil {
		t.Fatal(err)
	}
	check("longer", len(whole))
	if err := os.WriteFile(f.Path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	wantNewest(t, s, 128, 100, 0)
}

// TestFailingDisk: whatever call of a Write fails, and however, the one before
// stays, nothing unfinished is left behind a new start, and the next Write succeeds.
func TestFailingDisk(t *testing.T) {
	faults := map[string]disk.Fault{"full": {Err: syscall.ENOSPC}, "EIO": {Err: syscall.EIO}, "short": {Short: true, Bytes: 7},
		"full half way": {Err: syscall.ENOSPC, Bytes: 1000}}
	for name, fault := range faults {
		for n := 0; ; n++ {
			fs := &disk.Faulty{FS: disk.OS{}}
			dir := t.TempDir()
			s := must(Open(fs, dir, 2))
			write(t, s, 64, 10)
			write(t, s, 128, 10)
			first, hit := fs.Calls(), false
			fs.SetRule(func(c disk.Call) disk.Fault {
				if c.N != first+n || fault.Short && c.Op != disk.OpWrite {
					return disk.Fault{}
				}
				hit = true
				return fault
			})
			x := toyOf(20000, 192)
			_, err := s.Write(headerOf(x, 192), x.Save)
			ended := fs.Calls() <= first+n
			fs.SetRule(nil)
			if ended {
				break
			}
			s = must(Open(fs, dir, 2))
			if newest, bad := s.Newest(); newest == nil || len(bad) > 0 || err == nil && newest.Header.Position != 192 ||
				err != nil && hit && newest.Header.Position < 128 {
				t.Fatalf("%s in call %d: %v: newest %+v, harmed %v", name, n, err, newest, bad)
			}
			write(t, s, 256, 20)
			wantNewest(t, s, 256, 20, 0)
			for _, file := range must(disk.OS{}.List(dir)) {
				if strings.HasSuffix(file, disk.PartSuffix) {
					t.Fatalf("%s in call %d: %s is left", name, n, file)
				}
			}
		}
	}
}

var errDead = errors.New("the process is dead")

// TestDeathAnywhere: no call from one on happens, the last one perhaps by half.
func TestDeathAnywhere(t *testing.T) {
	for n := 0; ; n++ {
		fs := &disk.Faulty{FS: disk.OS{}}
		dir := t.TempDir()
		s := must(Open(fs, dir, 1))
		write(t, s, 64, 10)
		first := fs.Calls()
		fs.SetRule(func(c disk.Call) disk.Fault {
			if c.N < first+n {
				return disk.Fault{}
			}
			return disk.Fault{Err: errDead, Bytes: c.Bytes / 2}
		})
		x := toyOf(20000, 128)
		_, err := s.Write(headerOf(x, 128), x.Save)
		if err == nil {
			break
		}
		again := must(Open(disk.OS{}, dir, 1))
		newest, bad := again.Newest()
		if newest == nil || len(bad) > 0 || newest.Load(&toy{}) != nil {
			t.Fatalf("death in call %d: newest %+v, harmed %v", n, newest, bad)
		}
	}
}

func TestReceive(t *testing.T) {
	from, to := must(Open(disk.OS{}, t.TempDir(), 2)), must(Open(disk.OS{}, t.TempDir(), 2))
	f := write(t, from, 128, 20000)
	r := must(f.Open())
	b := must(io.ReadAll(r))
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, 100, HeaderBytes, HeaderBytes + 70000, len(b) - 1} {
		bad := bytes.Clone(b)
		bad[i]++
		if _, err := to.Receive(bytes.NewReader(bad)); err == nil {
			t.Fatalf("flip at %d: taken", i)
		}
		if _, err := to.Receive(bytes.NewReader(b[:i])); err == nil {
			t.Fatalf("cut at %d: taken", i)
		}
	}
	if names := must(disk.OS{}.List(to.Directory())); len(names) != 0 {
		t.Fatal(names)
	}
	must(to.Receive(bytes.NewReader(b)))
	wantNewest(t, to, 128, 20000, 0)
}

// TestStateOfAnotherProgram: a file that is whole and holds another state than its
// header says is refused.
func TestStateOfAnotherProgram(t *testing.T) {
	s := must(Open(disk.OS{}, t.TempDir(), 2))
	x := toyOf(10, 1)
	h := headerOf(x, 64)
	h.Digest++
	f := must(s.Write(h, x.Save))
	if err := f.Load(&toy{}); !errors.Is(err, app.ErrState) {
		t.Fatal(err)
	}
	f = must(s.Write(headerOf(x, 64), func(w *app.StateWriter) { x.Save(w); w.U8("more", 1) }))
	if err := f.Load(&toy{}); !errors.Is(err, app.ErrState) {
		t.Fatal(err)
	}
}

func FuzzHeader(f *testing.F) {
	x := toyOf(1, 1)
	b := make([]byte, HeaderBytes)
	h := headerOf(x, 128)
	h.Put(b)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var h Header
		if h.Parse(b) != nil {
			return
		}
		again := make([]byte, HeaderBytes)
		h.Put(again)
		var back Header
		if err := back.Parse(again); err != nil || back != h {
			t.Fatalf("%+v: %+v, %v", h, back, err)
		}
	})
}
