package snapshot

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"

	"onebeat/mirror/disk"
)

// Store is a lane's directory of snapshots. It is safe for use by several
// goroutines.
type Store struct {
	fs   disk.FS
	dir  string
	keep int
	mu   sync.Mutex // of what writes
}

// Dir returns where a lane's snapshots are when its archive is in a directory.
func Dir(archiveDir string) string { return filepath.Clean(archiveDir) + "-snapshots" }

// Open opens a directory, and makes it where there is none. What was not finished
// there goes. keep is how many snapshots are to stay, at least one.
func Open(fs disk.FS, dir string, keep int) (*Store, error) {
	if keep < 1 {
		return nil, fmt.Errorf("snapshots in %s: keep at least 1, not %d", dir, keep)
	}
	if err := fs.MakeDir(dir); err != nil {
		return nil, fmt.Errorf("snapshots: %w", err)
	}
	names, err := fs.List(dir)
	if err != nil {
		return nil, fmt.Errorf("snapshots: %w", err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, suffix+disk.PartSuffix) {
			if err := fs.Remove(filepath.Join(dir, name)); err != nil {
				return nil, fmt.Errorf("snapshots: %w", err)
			}
		}
	}
	return &Store{fs: fs, dir: dir, keep: keep}, nil
}

// View looks at a directory that another process writes.
func View(fs disk.FS, dir string) (*Store, error) {
	if _, err := fs.List(dir); err != nil {
		return nil, fmt.Errorf("snapshots: %w", err)
	}
	return &Store{fs: fs, dir: dir, keep: 1}, nil
}

// Directory returns where the snapshots are.
func (s *Store) Directory() string { return s.dir }

func (s *Store) pathOf(h *Header) string { return filepath.Join(s.dir, fileName(h.Position)) }

// List returns the files, oldest first, their headers checked and nothing else.
func (s *Store) List() ([]File, error) { return List(s.fs, s.dir) }

// List returns the files of a directory that is only looked at.
func List(fs disk.FS, dir string) ([]File, error) {
	names, err := fs.List(dir)
	if err != nil {
		return nil, fmt.Errorf("snapshots: %w", err)
	}
	var files []File
	for _, name := range names {
		position, ok := parseName(name)
		if !ok {
			continue
		}
		f, err := look(fs, filepath.Join(dir, name), position)
		if err != nil {
			continue // it has gone meanwhile
		}
		files = append(files, f)
	}
	return files, nil
}

// Newest returns the newest snapshot of which every byte is as it was written, nil
// if there is none, and what was wrong with the newer ones.
func (s *Store) Newest() (*File, []Damage) { return s.NewestBefore(^uint64(0)) }

// NewestBefore is Newest among those whose position is not beyond one.
func (s *Store) NewestBefore(position uint64) (*File, []Damage) {
	files, err := s.List()
	if err != nil {
		return nil, []Damage{{File: s.dir, Problem: err.Error()}}
	}
	var harmed []Damage
	for i := len(files) - 1; i >= 0; i-- {
		f := &files[i]
		if f.Header.Position > position {
			continue
		}
		err := f.Verify(nil)
		if err == nil {
			return f, harmed
		}
		d := &Damage{File: f.Path, Position: f.Header.Position, Problem: err.Error()}
		errors.As(err, &d)
		harmed = append(harmed, *d)
	}
	return nil, harmed
}

// Remove takes a snapshot away, as when the log it was made of was cut.
func (s *Store) Remove(f *File) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fs.Remove(f.Path); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	return s.fs.SyncDir(s.dir)
}

// retain removes the oldest ones beyond those to keep. One whose header is harmed
// does not count.
func (s *Store) retain() error {
	files, err := s.List()
	if err != nil {
		return err
	}
	good := 0
	for i := len(files) - 1; i >= 0; i-- {
		if good == s.keep {
			if err := s.fs.Remove(files[i].Path); err != nil {
				return fmt.Errorf("snapshots: %w", err)
			}
		} else if files[i].Damage == nil {
			good++
		}
	}
	return nil
}

// Look opens a directory that somebody else writes to; nothing in it is changed.
func Look(fs disk.FS, dir string) (*Store, error) {
	if _, err := fs.List(dir); err != nil {
		return nil, fmt.Errorf("snapshots: %w", err)
	}
	return &Store{fs: fs, dir: dir, keep: 1}, nil
}
