package ship

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"onebeat/mirror/archive"
	"onebeat/mirror/disk"
)

// Options of a shipper; zero values mean the defaults in brackets.
type Options struct {
	Store Store
	FS    disk.FS // of the archive [disk.OS]
	Dir   string  // the lane's archive
	// Snapshots is the directory of the lane's snapshots; empty: none are shipped.
	Snapshots string
	// KeepSnapshots in the store, at least [3].
	KeepSnapshots int
	// Prefix of the lane's objects in the store [the base name of Dir].
	Prefix string
	Lane   uint8
	Node   uint8
	// EveryNs is how often the archive is looked at [1 s].
	EveryNs int64
	// RateBytes per second at most; 0: no bound.
	RateBytes int64
	// TimeoutNs bounds one object's way [10 min].
	TimeoutNs int64
	Wall      func() int64
	// Note hears what an operator has to know, once each [nobody].
	Note func(string)
}

// Status is what a shipper says.
type Status struct {
	Store      string `json:"store"`
	State      string `json:"state"`   // reading, shipping, following, failing
	Shipped    uint64 `json:"shipped"` // position up to which the log is whole in the store
	LastNs     int64  `json:"last_ns"` // lane time of the last record there; 0: none
	Segments   int    `json:"segments"`
	Snapshots  int    `json:"snapshots"`
	Waiting    int    `json:"waiting"` // closed segments that are not there yet
	Objects    uint64 `json:"objects"` // put by this process
	Bytes      uint64 `json:"bytes"`   // in them
	Failures   uint64 `json:"failures"`
	LastError  string `json:"last_error,omitempty"` // empty: none, or it is over
	ManifestNs int64  `json:"manifest_ns"`          // wall clock of the last one written; 0: none by this process
}

// Shipper ships one lane to one store. Run belongs to one goroutine; Status and
// Shipped are for any.
type Shipper struct {
	o        Options
	dir      string // in the store
	manifest *Manifest
	known    map[string]stamp // files that were digested, by name
	shipped  atomic.Uint64

	mu     sync.Mutex
	status Status
}

// stamp says which content a file that grows had.
type stamp struct {
	bytes int64
	file  File
}

// New makes a shipper. Nothing is asked yet.
func New(o Options) *Shipper {
	if o.FS == nil {
		o.FS = disk.OS{}
	}
	o.EveryNs = cmp.Or(o.EveryNs, int64(time.Second))
	o.TimeoutNs = cmp.Or(o.TimeoutNs, int64(10*time.Minute))
	o.KeepSnapshots = cmp.Or(o.KeepSnapshots, 3)
	o.Prefix = cmp.Or(o.Prefix, filepath.Base(o.Dir))
	if o.Wall == nil {
		o.Wall = func() int64 { return time.Now().UnixNano() }
	}
	if o.Note == nil {
		o.Note = func(string) {}
	}
	return &Shipper{o: o, known: map[string]stamp{}, status: Status{Store: o.Store.String(), State: "reading"}}
}

// Status returns what the shipper last said.
func (s *Shipper) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

// Shipped returns the position up to which the archive's log is whole in the
// store: what lies before it may be removed locally. 0 until the store was asked.
func (s *Shipper) Shipped() uint64 { return s.shipped.Load() }

// backoffMaxNs bounds the wait after failures.
const backoffMaxNs = int64(time.Minute)

// Run ships until ctx ends.
func (s *Shipper) Run(ctx context.Context) {
	failures := 0
	for ctx.Err() == nil {
		err := s.Step(ctx)
		wait := s.o.EveryNs
		if err != nil && ctx.Err() == nil {
			failures++
			s.failing(err)
			wait = min(s.o.EveryNs<<min(failures-1, 16), backoffMaxNs)
			wait = wait/2 + rand.Int64N(wait/2+1) // not all at once, after an outage
		} else if err == nil {
			failures = 0
		}
		t := time.NewTimer(time.Duration(wait))
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
	}
}

func (s *Shipper) failing(err error) {
	s.mu.Lock()
	news := s.status.LastError != err.Error()
	s.status.State, s.status.LastError = "failing", err.Error()
	s.status.Failures++
	s.mu.Unlock()
	if news {
		s.o.Note("shipping to " + s.o.Store.String() + " fails: " + err.Error())
	}
}

// Step ships what there is to ship now.
func (s *Shipper) Step(ctx context.Context) error {
	local, err := s.look(ctx)
	if err != nil || local == nil {
		return err
	}
	kept, toShip := plan(s.manifest, local)
	next := *s.manifest
	next.Segments = kept
	next.Garbage = s.garbage(kept)
	s.progress("shipping", &next, local, len(toShip))
	dropped := len(kept) < len(s.manifest.Segments)
	for i := range toShip {
		segment, err := s.segment(ctx, &toShip[i])
		if errors.Is(err, fs.ErrNotExist) {
			break // compressed or retired meanwhile: the next look finds what it is now
		} else if err != nil {
			return err
		}
		at, _ := find(next.Segments, segment.First)
		next.Segments = slices.Insert(slices.Clone(next.Segments), at, segment)
		if err := s.publish(ctx, &next); err != nil {
			return err
		}
		dropped = false
		s.progress("shipping", &next, local, len(toShip)-i-1)
	}
	extra, err := s.extras(ctx, &next)
	if err != nil {
		return err
	}
	if dropped || extra {
		if err := s.publish(ctx, &next); err != nil {
			return err
		}
	}
	if err := s.sweep(ctx); err != nil {
		return err
	}
	s.progress("following", s.manifest, local, 0)
	return nil
}

// looks is how often a list that lacks a segment is looked at again: after that
// the segment is gone.
const looks = 5

// look lists the archive and reads the manifest of its life; nil: nothing is
// archived yet.
func (s *Shipper) look(ctx context.Context) ([]archive.Segment, error) {
	for try := 1; ; try++ {
		local, err := archive.List(s.o.FS, s.o.Dir)
		if err != nil {
			return nil, err
		}
		identity, ok := identityOf(local)
		if !ok {
			s.told("following", 0)
			return nil, nil
		}
		if err := s.open(ctx, identity); err != nil {
			return nil, err
		}
		if try == looks || !torn(s.manifest, local) {
			return local, nil
		}
		time.Sleep(time.Millisecond)
	}
}

// identityOf returns the life that an archive is of.
func identityOf(local []archive.Segment) (archive.Identity, bool) {
	for i := len(local) - 1; i >= 0; i-- {
		if local[i].Damage == nil && !local[i].Empty {
			return local[i].Header.Identity, true
		}
	}
	return archive.Identity{}, false
}

// open reads the manifest, once for each life of the lane.
func (s *Shipper) open(ctx context.Context, identity archive.Identity) error {
	if s.manifest != nil && s.manifest.Identity == identity.String() {
		return nil
	}
	s.dir = path.Join(s.o.Prefix, identity.String())
	m, err := readManifest(ctx, s.o.Store, s.dir)
	if err != nil {
		return err
	}
	if m == nil {
		m = &Manifest{Version: ManifestVersion, Lane: s.o.Lane, Node: s.o.Node, Identity: identity.String()}
	}
	s.manifest = m
	return nil
}

// garbage adds the objects of segments that no longer count.
func (s *Shipper) garbage(kept []Segment) []string {
	list := slices.Clone(s.manifest.Garbage)
	for _, old := range s.manifest.Segments {
		if _, still := find(kept, old.First); still {
			continue
		}
		list = append(list, old.Object)
		if old.Index != nil {
			list = append(list, old.Index.Object)
		}
	}
	return list
}

// segment ships one segment and its index.
func (s *Shipper) segment(ctx context.Context, a *archive.Segment) (Segment, error) {
	file, err := s.file(ctx, a.Path, fmt.Sprintf("%020d", a.Header.First))
	if err != nil {
		return Segment{}, err
	}
	segment := Segment{File: file, First: a.Header.First, End: a.Seal.End, Records: a.Seal.Records,
		LastNs: a.Seal.LastNs, LastEpoch: a.Seal.LastEpoch, Chain: a.Seal.Chain.String()}
	index, err := s.file(ctx, a.IndexPath(), fmt.Sprintf("%020d", a.Header.First))
	switch {
	case err == nil:
		segment.Index = &index
	case !errors.Is(err, fs.ErrNotExist):
		return Segment{}, err
	}
	return segment, nil
}

// file ships a file as it is now, unless the store has it.
func (s *Shipper) file(ctx context.Context, from, stem string) (File, error) {
	content, err := fileContent(s.o.FS, from)
	if err != nil {
		return File{}, err
	}
	name := filepath.Base(from)
	_, suffix, _ := strings.Cut(name, ".")
	f := File{Name: name, Bytes: content.Bytes, Digest: content.Digest, Object: fmt.Sprintf("%s-%s.%s", stem, content.Digest.short(), suffix)}
	ctx, cancel := context.WithTimeout(WithRate(ctx, s.o.RateBytes), time.Duration(s.o.TimeoutNs))
	defer cancel()
	object := path.Join(s.dir, f.Object)
	there, err := s.o.Store.Has(ctx, object, content)
	if err != nil || there {
		return f, err
	}
	if err := s.o.Store.Put(ctx, object, content); err != nil {
		return f, err
	}
	s.mu.Lock()
	s.status.Objects++
	s.status.Bytes += uint64(content.Bytes)
	s.mu.Unlock()
	return f, nil
}

// publish writes the manifest: from then on its objects count.
func (s *Shipper) publish(ctx context.Context, next *Manifest) error {
	m := *next
	m.Revision, m.WallNs = s.manifest.Revision+1, s.o.Wall()
	m.Lane, m.Node = s.o.Lane, s.o.Node
	ctx, cancel := context.WithTimeout(ctx, time.Duration(s.o.TimeoutNs))
	defer cancel()
	if err := writeManifest(ctx, s.o.Store, s.dir, &m); err != nil {
		s.manifest = nil // who knows which one is there
		return err
	}
	s.manifest, *next = &m, m
	s.mu.Lock()
	s.status.ManifestNs = m.WallNs
	s.mu.Unlock()
	return nil
}

// sweep removes what no longer counts, now that the manifest says so.
func (s *Shipper) sweep(ctx context.Context) error {
	if len(s.manifest.Garbage) == 0 {
		return nil
	}
	counts := map[string]bool{}
	for _, k := range s.manifest.Segments {
		counts[k.Object] = true
		if k.Index != nil {
			counts[k.Index.Object] = true
		}
	}
	for _, f := range s.manifest.Files {
		counts[f.Object] = true
	}
	for _, k := range s.manifest.Snapshots {
		counts[k.Object] = true
	}
	for _, object := range s.manifest.Garbage {
		if counts[object] {
			continue
		}
		if err := s.o.Store.Remove(ctx, path.Join(s.dir, object)); err != nil {
			return err
		}
	}
	next := *s.manifest
	next.Garbage = nil
	return s.publish(ctx, &next)
}

// progress brings the status up to date.
func (s *Shipper) progress(state string, m *Manifest, local []archive.Segment, waiting int) {
	shipped := shippedUpTo(m, local)
	s.shipped.Store(shipped)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.State, s.status.Shipped, s.status.Waiting = state, shipped, waiting
	s.status.Segments, s.status.Snapshots = len(m.Segments), len(m.Snapshots)
	if s.status.LastNs = 0; len(m.Segments) > 0 {
		s.status.LastNs = m.Segments[len(m.Segments)-1].LastNs
	}
	if state == "following" {
		s.status.LastError = ""
	}
}

func (s *Shipper) told(state string, waiting int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.State, s.status.Waiting, s.status.LastError = state, waiting, ""
}

// shippedUpTo returns the end of the archive's segments, from its oldest one on
// without a break, that are in a manifest.
func shippedUpTo(m *Manifest, local []archive.Segment) uint64 {
	end := uint64(0)
	for i := range local {
		l := &local[i]
		if l.Damage != nil || l.Empty || !l.Sealed {
			break
		}
		at, found := find(m.Segments, l.Header.First)
		if !found || m.Segments[at].End != l.Seal.End {
			break
		}
		end = l.Seal.End
	}
	return end
}
