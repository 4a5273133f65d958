package archive

import (
	"sync"
	"sync/atomic"
)

// Status is what a follower says about its archive.
type Status struct {
	Dir        string `json:"dir"`
	State      string `json:"state"` // opening, comparing, following, failing
	Begin      uint64 `json:"begin"`
	End        uint64 `json:"end"`
	Archived   uint64 `json:"archived"` // as safe as the sync policy makes it
	Segments   int    `json:"segments"`
	FileBytes  int64  `json:"file_bytes"`
	LinkAt     uint64 `json:"link_at"` // position behind the newest closed block
	Link       string `json:"link"`    // the hash chain up to there
	Gaps       uint64 `json:"gaps"`    // the ring was faster
	MissedByte uint64 `json:"missed_bytes"`
	Cuts       uint64 `json:"cuts"`
	Damages    uint64 `json:"damages"`
	Failures   uint64 `json:"failures"`
	LastError  string `json:"last_error,omitempty"` // empty: none, or it is over
}

// statusBoard hands the status to other goroutines.
type statusBoard struct {
	mu   sync.Mutex
	s    Status
	note func(Note)
}

// Status returns what the follower last said.
func (f *Follower) Status() Status {
	f.status.mu.Lock()
	defer f.status.mu.Unlock()
	return f.status.s
}

// failed counts a failure and reports whether it is another than the last.
func (b *statusBoard) failed(err error) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.s.Failures++
	news := b.s.LastError != err.Error()
	b.s.LastError = err.Error()
	return news
}

// noted counts a note and passes it on.
func (f *Follower) noted(n Note) {
	b := &f.status
	b.mu.Lock()
	switch n.Kind {
	case NoteGap:
		b.s.Gaps++
		b.s.MissedByte += n.Bytes
	case NoteCut:
		b.s.Cuts++
	case NoteDamage:
		b.s.Damages++
	}
	b.mu.Unlock()
	b.note(n)
}

// publish brings the status up to date.
func (f *Follower) publish() {
	b := &f.status
	b.mu.Lock()
	defer b.mu.Unlock()
	s := &b.s
	switch {
	case f.failed:
		s.State = "failing"
	case f.w == nil:
		s.State = "opening"
	case !f.aligned:
		s.State = "comparing"
	default:
		s.State = "following"
	}
	if !f.failed {
		s.LastError = ""
	}
	f.fails.Store(f.failed)
	w := f.w
	if w == nil {
		f.archived.Store(0)
		f.share(0)
		f.knownCuts.Store(f.seen)
		return
	}
	archived, held := w.Durable(), w.End()
	if !f.aligned {
		archived, held = min(archived, f.checked), min(held, f.checked)
	}
	f.archived.Store(archived)
	f.share(held)
	f.knownCuts.Store(f.seen)
	s.Archived, s.Begin, s.End = archived, w.Begin(), w.End()
	s.Segments, s.FileBytes = w.Segments(), w.FileBytes()
	link, at := w.link, w.end
	if w.seg != nil {
		link, at = w.seg.chain.link, w.seg.chain.b.position
	}
	s.LinkAt, s.Link = at, link.String()
}

// share tells other processes up to where the files hold the ring's log. The
// number of cuts comes last: a reader believes a position only with the number
// that the ring has.
func (f *Follower) share(position uint64) {
	s := f.o.Shared
	if s.Position == position && s.Cuts == f.seen {
		return
	}
	atomic.StoreUint64(&s.Position, position)
	atomic.StoreUint64(&s.Cuts, f.seen)
}
