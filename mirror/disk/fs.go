package disk

import (
	"errors"
	"io"
)

// Direct I/O moves whole pages, at page boundaries, from memory that begins at
// one.
const PageBytes = 4096

// ErrDirect means that a filesystem takes no direct I/O.
var ErrDirect = errors.New("no direct I/O")

// Mode says how a file is opened.
type Mode uint8

const (
	Read   Mode = iota
	Write       // an existing file, to read and write
	Create      // a new or emptied file, to read and write
)

// File is an open file. Its offsets are the caller's: there is no cursor.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Truncate sets the length; what is added reads as zeros.
	Truncate(sizeBytes int64) error
	// Allocate makes the file at least so long, with the room reserved: writing
	// there finds no full disk later.
	Allocate(sizeBytes int64) error
	// Datasync returns once what was written is on the disk.
	Datasync() error
	Size() (int64, error)
}

// FS is a filesystem.
type FS interface {
	// Open opens a file; direct: past the page cache.
	Open(path string, mode Mode, direct bool) (File, error)
	Rename(from, to string) error
	Remove(path string) error
	// List returns the names in a directory, sorted.
	List(dir string) ([]string, error)
	// MakeDir makes a directory and those above it.
	MakeDir(dir string) error
	// SyncDir returns once names that were made, renamed or removed are on the
	// disk.
	SyncDir(dir string) error
	// Size returns a file's length.
	Size(path string) (int64, error)
}

// WriteFile makes a file that is there whole or not at all, also after a power
// loss in between.
func WriteFile(fs FS, dir, path string, parts ...[]byte) error {
	next := path + PartSuffix
	f, err := fs.Open(next, Create, false)
	if err != nil {
		return err
	}
	at := int64(0)
	for _, b := range parts {
		if err == nil && len(b) > 0 {
			_, err = f.WriteAt(b, at)
			at += int64(len(b))
		}
	}
	if err == nil {
		err = f.Datasync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = fs.Rename(next, path)
	}
	if err != nil {
		return errors.Join(err, fs.Remove(next))
	}
	return fs.SyncDir(dir)
}

// PartSuffix ends the name of a file that is not whole yet.
const PartSuffix = ".part"
