package ship

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"github.com/zeebo/blake3"

	"onebeat/mirror/disk"
)

// RestoreOptions say what to bring back, and where to.
type RestoreOptions struct {
	Store Store
	// Prefix is the lane's in the store: <node>-lane<id> of who shipped it.
	Prefix string
	// Identity of the life to bring back; empty: the one whose manifest is newest.
	Identity string
	FS       disk.FS // [disk.OS]
	Dir      string  // the archive to make; what is whole in it is not fetched again
	// Snapshots is where they go; empty: they are left out.
	Snapshots string
	// Progress is told bytes [nobody].
	Progress func(done, all int64)
}

// Restored is what Restore brought back.
type Restored struct {
	Manifest *Manifest `json:"-"`
	Identity string    `json:"identity"`
	Begin    uint64    `json:"begin"`
	End      uint64    `json:"end"`
	Segments int       `json:"segments"`
	Fetched  int       `json:"fetched"` // files; the others were there
	Bytes    int64     `json:"bytes"`
	// Gaps are parts of the log between its beginning and end that were never
	// archived.
	Gaps []Range `json:"gaps,omitempty"`
}

// Range is a part of the log.
type Range struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
}

// ErrNothing means that a store has nothing of a lane.
var ErrNothing = errors.New("nothing was shipped there")

// Find returns the manifests of a lane's lives.
func Find(ctx context.Context, s Store, prefix string) ([]*Manifest, error) {
	names, err := s.List(ctx, prefix+"/")
	if err != nil {
		return nil, err
	}
	var list []*Manifest
	var errs []error
	for _, name := range names {
		dir, base := path.Split(name)
		if base != manifestName {
			continue
		}
		m, err := readManifest(ctx, s, path.Clean(dir))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		list = append(list, m)
	}
	if len(list) == 0 {
		return nil, errors.Join(append(errs, fmt.Errorf("%w: %s, %s", ErrNothing, s, prefix))...)
	}
	return list, nil
}

// Restore makes an archive of what a store has. It may be called again after it
// failed: it goes on. A file counts once its digest is that of the manifest; what
// the store harmed is named and ends it. Who ships may live: when an object has gone
// because a newer one took its place, the newer manifest is gone by.
func Restore(ctx context.Context, o RestoreOptions) (*Restored, error) {
	if o.FS == nil {
		o.FS = disk.OS{}
	}
	var last *Manifest
	for fetched, bytes := 0, int64(0); ; {
		done, err := restoreOnce(ctx, o)
		if done == nil {
			return nil, err
		}
		done.Fetched, done.Bytes = done.Fetched+fetched, done.Bytes+bytes
		newer := last == nil || done.Manifest.Identity != last.Identity || done.Manifest.Revision != last.Revision
		if !errors.Is(err, ErrNoObject) || !newer {
			return done, err
		}
		last, fetched, bytes = done.Manifest, done.Fetched, done.Bytes
	}
}

// restoreOnce goes by the manifest that is the newest now.
func restoreOnce(ctx context.Context, o RestoreOptions) (*Restored, error) {
	list, err := Find(ctx, o.Store, o.Prefix)
	if err != nil {
		return nil, err
	}
	var m *Manifest
	for _, k := range list {
		if (o.Identity == "" || strings.HasPrefix(k.Identity, o.Identity)) && (m == nil || k.WallNs > m.WallNs) {
			m = k
		}
	}
	if m == nil {
		return nil, fmt.Errorf("%w of a life %s: %s, %s", ErrNothing, o.Identity, o.Store, o.Prefix)
	}
	r := &restore{o: o, m: m, dir: path.Join(o.Prefix, m.Identity),
		done: &Restored{Manifest: m, Identity: m.Identity, Begin: m.Begin(), End: m.End(), Segments: len(m.Segments)}}
	return r.done, r.run(ctx)
}

type restore struct {
	o    RestoreOptions
	m    *Manifest
	dir  string // in the store
	done *Restored
	all  int64
	at   int64
}

func (r *restore) run(ctx context.Context) error {
	if err := r.o.FS.MakeDir(r.o.Dir); err != nil {
		return err
	}
	if err := r.foreign(); err != nil {
		return err
	}
	type job struct {
		file File
		dir  string
	}
	var jobs []job
	end := r.m.Begin()
	for i := range r.m.Segments {
		s := &r.m.Segments[i]
		if s.First > end {
			r.done.Gaps = append(r.done.Gaps, Range{end, s.First})
		}
		end = s.End
		if s.Index != nil {
			jobs = append(jobs, job{*s.Index, r.o.Dir})
		}
		jobs = append(jobs, job{s.File, r.o.Dir})
	}
	for i := range r.m.Files {
		jobs = append(jobs, job{r.m.Files[i], r.o.Dir})
	}
	if r.o.Snapshots != "" {
		if err := r.o.FS.MakeDir(r.o.Snapshots); err != nil {
			return err
		}
		for i := range r.m.Snapshots {
			jobs = append(jobs, job{r.m.Snapshots[i].File, r.o.Snapshots})
		}
	}
	for _, j := range jobs {
		r.all += j.file.Bytes
	}
	for _, j := range jobs {
		if err := r.file(ctx, &j.file, j.dir); err != nil {
			return fmt.Errorf("restore %s: %w", j.file.Name, err)
		}
	}
	return nil
}

// foreign refuses a directory that holds segments which are not the manifest's.
func (r *restore) foreign() error {
	names, err := r.o.FS.List(r.o.Dir)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for i := range r.m.Segments {
		known[r.m.Segments[i].Name] = true
	}
	for _, name := range names {
		if (strings.HasSuffix(name, ".seg") || strings.HasSuffix(name, ".seg.zst")) && !known[name] {
			return fmt.Errorf("%s holds %s, which is not of this restore: restore into an empty directory, or put that one aside", r.o.Dir, name)
		}
	}
	return nil
}

// file fetches one unless it is there.
func (r *restore) file(ctx context.Context, f *File, dir string) error {
	to := filepath.Join(dir, f.Name)
	defer func() {
		r.at += f.Bytes
		if r.o.Progress != nil {
			r.o.Progress(r.at, r.all)
		}
	}()
	if c, err := fileContent(r.o.FS, to); err == nil && c.Bytes == f.Bytes && c.Digest == f.Digest {
		return nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	from, err := r.o.Store.Get(ctx, path.Join(r.dir, f.Object))
	if err != nil {
		return err
	}
	part := to + disk.PartSuffix
	err = errors.Join(r.fetch(from, part, f), from.Close())
	if err == nil {
		err = r.o.FS.Rename(part, to)
	}
	if err != nil {
		return errors.Join(err, ignoreNone(r.o.FS.Remove(part)))
	}
	r.done.Fetched++
	r.done.Bytes += f.Bytes
	return r.o.FS.SyncDir(dir)
}

func (r *restore) fetch(from io.Reader, part string, f *File) error {
	out, err := r.o.FS.Open(part, disk.Create, false)
	if err != nil {
		return err
	}
	h := blake3.New()
	w := &offsetWriter{f: out}
	n, err := io.Copy(io.MultiWriter(w, h), io.LimitReader(from, f.Bytes+1))
	if err == nil && (n != f.Bytes || Digest(h.Sum(nil)) != f.Digest) {
		err = fmt.Errorf("%w: object %s in %s has %d bytes or more with digest %x, the manifest says %d and %s",
			ErrChanged, path.Join(r.dir, f.Object), r.o.Store, n, h.Sum(nil)[:8], f.Bytes, f.Digest.short())
	}
	if err == nil {
		err = out.Datasync()
	}
	return errors.Join(err, out.Close())
}
