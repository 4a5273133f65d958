package ship

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"onebeat/mirror/archive"
)

// extras ships snapshots, notes and what was cut off, and reports whether the
// manifest is to be written for them.
func (s *Shipper) extras(ctx context.Context, next *Manifest) (changed bool, err error) {
	names, err := s.o.FS.List(s.o.Dir)
	if err != nil {
		return false, err
	}
	for _, name := range names {
		if name != archive.NotesFile && !strings.HasSuffix(name, ".log") {
			continue
		}
		news, err := s.extra(ctx, next, name)
		if err != nil {
			return changed, err
		}
		changed = changed || news
	}
	if s.o.Snapshots == "" {
		return changed, nil
	}
	news, err := s.snapshots(ctx, next)
	return changed || news, err
}

// extra ships one file that may have grown.
func (s *Shipper) extra(ctx context.Context, next *Manifest, name string) (changed bool, err error) {
	from := filepath.Join(s.o.Dir, name)
	size, err := s.o.FS.Size(from)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	at := slices.IndexFunc(next.Files, func(f File) bool { return f.Name == name })
	if k, ok := s.known[name]; ok && k.bytes == size && at >= 0 && next.Files[at] == k.file {
		return false, nil
	}
	stem, _, _ := strings.Cut(name, ".")
	f, err := s.file(ctx, from, stem)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	s.known[name] = stamp{f.Bytes, f}
	files := slices.Clone(next.Files)
	switch {
	case at < 0:
		next.Files = append(files, f)
	case files[at] == f:
		return false, nil
	default:
		next.Garbage = append(slices.Clip(next.Garbage), files[at].Object)
		files[at] = f
		next.Files = files
	}
	return true, nil
}

// snapshotSuffix ends a snapshot's name; before it stands its position.
const snapshotSuffix = ".snap"

// snapshots ships the newest ones and forgets the oldest.
func (s *Shipper) snapshots(ctx context.Context, next *Manifest) (changed bool, err error) {
	names, err := s.o.FS.List(s.o.Snapshots)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	var local []string
	for _, name := range names {
		if strings.HasSuffix(name, snapshotSuffix) {
			local = append(local, name)
		}
	}
	list := slices.Clone(next.Snapshots)
	for _, name := range local[max(0, len(local)-s.o.KeepSnapshots):] {
		stem := strings.TrimSuffix(name, snapshotSuffix)
		position, err := strconv.ParseUint(stem, 10, 64)
		if err != nil || slices.ContainsFunc(list, func(k Snapshot) bool { return k.Name == name }) {
			continue
		}
		f, err := s.file(ctx, filepath.Join(s.o.Snapshots, name), stem)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return changed, err
		}
		list, changed = append(list, Snapshot{f, position}), true
	}
	slices.SortFunc(list, func(a, b Snapshot) int { return cmp.Compare(a.Position, b.Position) })
	for len(list) > s.o.KeepSnapshots {
		next.Garbage = append(slices.Clip(next.Garbage), list[0].Object)
		list, changed = list[1:], true
	}
	next.Snapshots = list
	return changed, nil
}
