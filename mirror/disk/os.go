package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// OS is the machine's own filesystem.
type OS struct{}

type osFile struct{ *os.File }

// Open implements FS.
func (OS) Open(path string, mode Mode, direct bool) (File, error) {
	flags := os.O_RDONLY
	switch mode {
	case Write:
		flags = os.O_RDWR
	case Create:
		flags = os.O_RDWR | os.O_CREATE | os.O_TRUNC
	}
	if direct {
		flags |= unix.O_DIRECT
	}
	f, err := os.OpenFile(path, flags, 0o600)
	if direct && errors.Is(err, unix.EINVAL) {
		return nil, fmt.Errorf("%s: %w on this filesystem; use io = \"buffered\"", path, ErrDirect)
	}
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// Allocate implements File.
func (f osFile) Allocate(sizeBytes int64) error {
	for {
		switch err := unix.Fallocate(int(f.Fd()), 0, 0, sizeBytes); err {
		case nil:
			return nil
		case unix.EINTR:
		case unix.EOPNOTSUPP:
			// Room cannot be reserved there; the length at least can be set.
			if n, err := f.Size(); err != nil || n >= sizeBytes {
				return err
			}
			return f.Truncate(sizeBytes)
		default:
			return &os.PathError{Op: "fallocate", Path: f.Name(), Err: err}
		}
	}
}

// Datasync implements File.
func (f osFile) Datasync() error {
	for {
		switch err := unix.Fdatasync(int(f.Fd())); err {
		case nil:
			return nil
		case unix.EINTR:
		default:
			return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
		}
	}
}

// Size implements File.
func (f osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// Rename implements FS.
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove implements FS.
func (OS) Remove(path string) error { return os.Remove(path) }

// List implements FS.
func (OS) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// MakeDir implements FS.
func (OS) MakeDir(dir string) error { return os.MkdirAll(dir, 0o750) }

// SyncDir implements FS.
func (OS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Size implements FS.
func (OS) Size(path string) (int64, error) {
	st, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// ReadFull reads exactly len(b) bytes at an offset; a file that ends before is
// io.ErrUnexpectedEOF.
func ReadFull(f io.ReaderAt, b []byte, at int64) error {
	n, err := f.ReadAt(b, at)
	switch {
	case n == len(b):
		return nil
	case err == nil || errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	}
	return err
}
