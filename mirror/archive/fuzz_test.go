package archive

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"onebeat/engine/app"
	"onebeat/mirror/disk"
)

// fuzzed makes an archive of one segment and its index for seeds.
func fuzzed(f *testing.F, o Options) (segment, index []byte, s Segment) {
	b := newBed(f, o)
	b.put(80)
	b.step()
	if err := b.f.Close(); err != nil {
		f.Fatal(err)
	}
	s = newest(f, b.o.Dir)
	read := func(path string) []byte {
		file, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		return file
	}
	return read(s.Path), read(s.IndexPath()), s
}

// Any bytes as segment and index: reading, verifying and recovering end, and what
// passes for a record was at its place.
func FuzzArchive(f *testing.F) {
	segment, index, _ := fuzzed(f, Options{})
	f.Add(segment[:12<<10], index)
	f.Add(segment[:HeaderBytes], []byte{})
	f.Add([]byte{}, index)
	f.Fuzz(func(t *testing.T, segment, index []byte) {
		dir := t.TempDir()
		for name, b := range map[string][]byte{fileName(0, segmentSuffix): segment, fileName(0, indexSuffix): index} {
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Verify(disk.OS{}, dir, nil); err != nil {
			t.Fatal(err)
		}
		if r, err := OpenReader(disk.OS{}, dir); err == nil {
			at := uint64(0)
			for {
				var rec app.Record
				more, err := r.Next(&rec)
				if !more || err != nil {
					break
				}
				if rec.Position < at {
					t.Fatalf("record at %d after %d", rec.Position, at)
				}
				at = rec.Position + 1
			}
			if err := r.SeekTime(5); err != nil {
				t.Fatal(err)
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
		}
		w, err := Open(Options{Dir: dir, SegmentBytes: MinSegmentBytes, Wall: func() int64 { return 1 }})
		if err != nil {
			return
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// Any bytes as a compressed segment.
func FuzzCompressed(f *testing.F) {
	_, _, s := fuzzed(f, Options{})
	never := func() bool { return false }
	c, err := compress(disk.OS{}, s, never)
	if err != nil {
		f.Fatal(err)
	}
	file, err := os.ReadFile(c.Path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file)
	f.Add(file[:len(file)-1])
	f.Fuzz(func(t *testing.T, file []byte) {
		path := filepath.Join(t.TempDir(), fileName(0, compressedSuffix))
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Verify(disk.OS{}, filepath.Dir(path), nil); err != nil && !errors.Is(err, ErrEmpty) {
			t.Fatal(err)
		}
	})
}
