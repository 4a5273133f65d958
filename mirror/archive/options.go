package archive

import (
	"cmp"
	"fmt"
	"path/filepath"

	"onebeat/mirror/disk"
	"onebeat/mirror/lane"
)

// Sync says when records are brought to the disk.
type Sync uint8

const (
	// SyncNone: the kernel decides. Records survive the process, not the host.
	SyncNone Sync = iota
	// SyncInterval: every SyncEveryNs.
	SyncInterval
	// SyncBatch: before the next records are written.
	SyncBatch
)

var syncNames = [...]string{"none", "interval", "batch"}

func (s Sync) String() string { return syncNames[s] }

// ParseSync reads what String writes.
func ParseSync(text string) (Sync, error) {
	for i, name := range syncNames {
		if name == text {
			return Sync(i), nil
		}
	}
	return 0, fmt.Errorf("%q is no sync policy: none, interval or batch", text)
}

// Options of an archive; zero values mean the defaults in brackets.
type Options struct {
	FS  disk.FS // [disk.OS]
	Dir string  // of this lane alone
	// Lane, Node and Incarnation go into the headers of segments.
	Lane, Node  uint8
	Incarnation uint64

	SegmentBytes int64 // of a file; a multiple of disk.PageBytes [64 MiB]
	Direct       bool  // past the page cache
	Sync         Sync
	SyncEveryNs  int64 // [10 ms]
	Compress     bool  // closed segments
	RetainBytes  int64 // of all files; 0: no bound
	RetainNs     int64 // age of a segment's last record; 0: no bound
	// Needed is asked before a segment is removed, with where the archive begins:
	// records from the position that it returns on stay; nil: none must.
	Needed  func(begin uint64) (from uint64)
	RetryNs int64 // after a failure [1 s]

	// OwnPlace: Run has a place in Go's scheduler of its own and may sleep on it.
	OwnPlace bool

	// Shared tells other processes how far the archive holds the ring's log; nil:
	// nobody.
	Shared *lane.Archive

	// Wall is the wall clock in ns, for headers, notes and ages.
	Wall func() int64
	// Note hears what an operator has to know. It is called by the goroutine of
	// the follower, or of the keeper.
	Note func(Note)
}

func (o *Options) fill() error {
	if o.FS == nil {
		o.FS = disk.OS{}
	}
	o.SegmentBytes = cmp.Or(o.SegmentBytes, 64<<20)
	o.SyncEveryNs = cmp.Or(o.SyncEveryNs, 10_000_000)
	o.RetryNs = cmp.Or(o.RetryNs, 1_000_000_000)
	if o.SegmentBytes < MinSegmentBytes || o.SegmentBytes > MaxSegmentBytes || o.SegmentBytes%disk.PageBytes != 0 {
		return fmt.Errorf("archive: segments of %d bytes: use a multiple of %d from %d to %d", o.SegmentBytes, disk.PageBytes, MinSegmentBytes, int64(MaxSegmentBytes))
	}
	if o.Shared == nil {
		o.Shared = &lane.Archive{}
	}
	if o.Wall == nil {
		return fmt.Errorf("archive: no clock")
	}
	if o.Note == nil {
		o.Note = func(Note) {}
	}
	return nil
}

func (o *Options) file(first uint64, suffix string) string {
	return filepath.Join(o.Dir, fileName(first, suffix))
}

// NoteKind is what a note is about.
type NoteKind string

// Kinds of notes.
const (
	NoteCut      NoteKind = "cut"      // the log was cut, and the archive with it: Position, Bytes, File
	NoteTorn     NoteKind = "torn"     // recovery ended the archive at its last whole record: Position, Bytes
	NoteDamage   NoteKind = "damage"   // a file does not hold what was written: File, Position, Problem
	NoteGap      NoteKind = "gap"      // the ring was faster: Position, and Bytes that are missing behind it
	NoteAside    NoteKind = "aside"    // the archive was of another life of the lane: File is where it is now
	NoteFailed   NoteKind = "failed"   // writing fails: Problem; it is tried again
	NoteResumed  NoteKind = "resumed"  // writing works again: Position
	NoteRetained NoteKind = "retained" // a segment was removed: File, Position
)

// Note is something an operator has to know, and an auditor: those of cuts,
// damage and gaps are also kept in the archive's notes.log.
type Note struct {
	WallNs   int64    `json:"wall_ns"`
	Kind     NoteKind `json:"kind"`
	Position uint64   `json:"position"`
	Bytes    uint64   `json:"bytes,omitempty"`
	File     string   `json:"file,omitempty"`
	Problem  string   `json:"problem,omitempty"`
	Chain    string   `json:"chain,omitempty"` // over the log up to Position
}

func (n Note) String() string {
	text := fmt.Sprintf("%s at %d", n.Kind, n.Position)
	if n.Bytes > 0 {
		text += fmt.Sprintf(", %d bytes", n.Bytes)
	}
	if n.File != "" {
		text += ", " + n.File
	}
	if n.Problem != "" {
		text += ": " + n.Problem
	}
	return text
}
