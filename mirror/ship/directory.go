package ship

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"onebeat/mirror/disk"
)

// Directory is a store in a directory: another disk, or a mounted share.
type Directory struct {
	FS  disk.FS
	Dir string
}

// NewDirectory makes a store of a directory, which must be there: an empty mount
// point must not be taken for a store.
func NewDirectory(files disk.FS, dir string) (*Directory, error) {
	if files == nil {
		files = disk.OS{}
	}
	if _, err := files.List(dir); err != nil {
		return nil, fmt.Errorf("store %s: %w; make the directory, or mount what it is on", dir, err)
	}
	return &Directory{files, dir}, nil
}

func (d *Directory) String() string { return d.Dir }

func (d *Directory) path(name string) string { return filepath.Join(d.Dir, filepath.FromSlash(name)) }

// Put implements Store.
func (d *Directory) Put(ctx context.Context, name string, content Content) error {
	if err := checkName(name); err != nil {
		return err
	}
	if _, err := d.FS.List(d.Dir); err != nil {
		return fmt.Errorf("store %s: %w", d.Dir, err) // not mounted: MakeDir would make another
	}
	to := d.path(name)
	dir := filepath.Dir(to)
	if err := d.FS.MakeDir(dir); err != nil {
		return err
	}
	part := to + disk.PartSuffix
	err := d.write(ctx, part, content)
	if err == nil {
		err = d.FS.Rename(part, to)
	}
	if err != nil {
		return errors.Join(err, ignoreNone(d.FS.Remove(part)))
	}
	return d.FS.SyncDir(dir)
}

// write makes a file, brings it to the disk and reads it back.
func (d *Directory) write(ctx context.Context, path string, content Content) error {
	r, err := content.Open()
	if err != nil {
		return err
	}
	f, err := d.FS.Open(path, disk.Create, false)
	if err != nil {
		return errors.Join(err, r.Close())
	}
	w := &offsetWriter{f: f}
	_, err = io.Copy(w, limited(ctx, r))
	if err == nil {
		err = f.Datasync()
	}
	if err == nil {
		var same bool
		if same, err = content.same(io.NewSectionReader(f, 0, w.at)); err == nil && !same {
			err = fmt.Errorf("%w: %s", ErrChanged, path)
		}
	}
	return errors.Join(err, f.Close(), r.Close())
}

// offsetWriter appends to a file without a cursor.
type offsetWriter struct {
	f  disk.File
	at int64
}

func (w *offsetWriter) Write(b []byte) (int, error) {
	n, err := w.f.WriteAt(b, w.at)
	w.at += int64(n)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return n, err
}

// Get implements Store.
func (d *Directory) Get(_ context.Context, name string) (io.ReadCloser, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	f, err := d.FS.Open(d.path(name), disk.Read, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s in %s", ErrNoObject, name, d.Dir)
	} else if err != nil {
		return nil, err
	}
	size, err := f.Size()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(f, 0, size), f}, nil
}

// Has implements Store: the file is read.
func (d *Directory) Has(ctx context.Context, name string, content Content) (bool, error) {
	r, err := d.Get(ctx, name)
	if errors.Is(err, ErrNoObject) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	same, err := content.same(r)
	return same, errors.Join(err, r.Close())
}

// List implements Store. Names are three deep at most: lane, identity, object.
func (d *Directory) List(_ context.Context, prefix string) ([]string, error) {
	var names []string
	err := filepath.WalkDir(d.Dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(d.Dir, path)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		if !e.IsDir() && strings.HasPrefix(name, prefix) && !strings.HasSuffix(name, disk.PartSuffix) {
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", d.Dir, err)
	}
	return names, nil
}

// Remove implements Store.
func (d *Directory) Remove(_ context.Context, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	return ignoreNone(d.FS.Remove(d.path(name)))
}

func ignoreNone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
