package archive

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"onebeat/mirror/disk"
)

// Segment is one file of an archive, as its two ends describe it.
type Segment struct {
	Path       string
	FileBytes  int64
	Compressed bool
	Sealed     bool
	Header     Header
	Seal       Seal // if Sealed
	// Damage is what is wrong with the header or the seal; nil: nothing.
	Damage *Damage
	// Empty: the header page is zero, nothing was written yet.
	Empty bool

	first uint64 // from the name
}

// IndexPath returns where its index is.
func (s *Segment) IndexPath() string {
	return filepath.Join(filepath.Dir(s.Path), fileName(s.first, indexSuffix))
}

// listTries is how often a list that lacks a segment is made anew: its writer may
// have compressed or removed one while the directory was read.
const listTries = 4

// List returns the segments of an archive in the order of the log. A directory
// that is not there has none.
func List(fs disk.FS, dir string) (list []Segment, err error) {
	for range listTries {
		if list, err = listOnce(fs, dir); err != nil || follow(list) {
			break
		}
	}
	return list, err
}

// follow reports whether each segment follows the one before it in the list.
func follow(list []Segment) bool {
	for i := 1; i < len(list); i++ {
		if before := &list[i-1]; before.Sealed && list[i].usable() && list[i].Header.PreviousEnd != before.Seal.End {
			return false
		}
	}
	return true
}

func listOnce(fs disk.FS, dir string) ([]Segment, error) {
	names, err := fs.List(dir)
	if isNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	var list []Segment
	for _, name := range names {
		first, suffix, ok := parseName(name)
		if !ok || suffix != segmentSuffix && suffix != compressedSuffix {
			continue
		}
		if n := len(list); n > 0 && list[n-1].first == first {
			continue // compressed, and the plain one, sorted before it, still there
		}
		s := Segment{Path: filepath.Join(dir, name), Compressed: suffix == compressedSuffix, first: first}
		err := s.look(fs)
		if isNotExist(err) && !s.Compressed {
			// Its writer lives, and has compressed it since the directory was read.
			s = Segment{Path: filepath.Join(dir, fileName(first, compressedSuffix)), Compressed: true, first: first}
			err = s.look(fs)
		}
		switch {
		case isNotExist(err): // retention took it
			continue
		case err != nil:
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

// look reads both ends of a segment.
func (s *Segment) look(fs disk.FS) error {
	var err error
	if s.FileBytes, err = fs.Size(s.Path); err != nil {
		return err
	}
	c, err := openContent(fs, s.Path, s.Compressed)
	if err == nil {
		err = errors.Join(s.readEnds(c), c.Close())
	}
	var d *Damage
	if errors.As(err, &d) {
		s.Damage = d
		d.Position = s.first
		return nil
	}
	return err
}

func (s *Segment) readEnds(c content) error {
	page := make([]byte, disk.PageBytes)
	n, err := readUpTo(c, page, 0)
	if err != nil {
		return err
	}
	if allZero(page[:n]) {
		s.Empty = true
		return nil
	}
	err = s.Header.Parse(page[:n])
	if err == nil && s.Header.First != s.first {
		err = fmt.Errorf("%w: the header is of a segment from %d", ErrFormat, s.Header.First)
	}
	if err != nil {
		return &Damage{File: s.Path, Problem: err.Error()}
	}
	at := HeaderBytes + int64(s.Header.DataBytes)
	if n, err = readUpTo(c, page, at); err != nil {
		return err
	}
	if allZero(page[:n]) {
		return nil // being written, or its writer was killed
	}
	err = s.Seal.Parse(page[:n])
	if err == nil && (s.Seal.First != s.first || s.Seal.Lane != s.Header.Lane || s.Seal.End > s.first+s.Header.DataBytes) {
		err = fmt.Errorf("%w: the seal is of another segment", ErrFormat)
	}
	if err != nil {
		return &Damage{File: s.Path, Offset: at, Problem: err.Error()}
	}
	s.Sealed = true
	return nil
}

// readUpTo reads what there is of b at an offset.
func readUpTo(c content, b []byte, at int64) (n int, err error) {
	n, err = c.ReadAt(b, at)
	if n < len(b) && err != nil && !isEOF(err) {
		return n, err
	}
	return n, nil
}

// usable reports whether the header can be believed.
func (s *Segment) usable() bool { return !s.Empty && s.Header.DataBytes != 0 }

// end is the position behind a closed segment; of another one, where it begins.
func (s *Segment) end() uint64 {
	if s.Sealed {
		return s.Seal.End
	}
	return s.first
}

// leftovers returns the files that a crash left behind: parts, compressed
// segments whose plain one is still there, indexes without a segment.
func leftovers(fs disk.FS, dir string) ([]string, error) {
	names, err := fs.List(dir)
	if err != nil {
		return nil, err
	}
	has := map[string]bool{}
	for _, name := range names {
		has[name] = true
	}
	var list []string
	for _, name := range names {
		first, suffix, ok := parseName(name)
		plain, squeezed := has[fileName(first, segmentSuffix)], has[fileName(first, compressedSuffix)]
		if strings.HasSuffix(name, disk.PartSuffix) ||
			ok && (suffix == compressedSuffix && plain || suffix == indexSuffix && !plain && !squeezed) {
			list = append(list, filepath.Join(dir, name))
		}
	}
	return list, nil
}
