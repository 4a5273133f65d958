package node

import (
	"errors"
	"io/fs"
	"sync/atomic"
	"time"

	"onebeat/mirror/archive"
	"onebeat/mirror/disk"
	"onebeat/mirror/snapshot"
)

// archiveView is a lane's archive as its keeper sees it: written by this process, or
// by the mirror daemon on its host.
type archiveView interface {
	// Archived returns up to where the archive holds the ring's log.
	Archived() uint64
	// Changes returns another number before anything archived is taken off.
	Changes() uint64
	// following reports whether the archive is the ring's log, and what it holds of it.
	following() (begin, end uint64, ok bool)
}

// ownArchive is this process's.
type ownArchive struct{ *archive.Follower }

func (a ownArchive) following() (begin, end uint64, ok bool) {
	s := a.Status()
	return s.Begin, s.End, s.State == "following"
}

// otherArchive is written by another process, which tells in the lane table how far
// it is. The ring is cut before the archive is.
type otherArchive struct{ lane *laneParts }

func (a otherArchive) Archived() uint64 {
	_, end, _ := a.following()
	return end
}

func (a otherArchive) Changes() uint64 { return a.lane.ring.Cuts() }

func (a otherArchive) following() (begin, end uint64, ok bool) {
	t := &a.lane.mem.table.Archive
	cuts := atomic.LoadUint64(&t.Cuts) // stored behind the position
	end = atomic.LoadUint64(&t.Position)
	if end == 0 || cuts != a.lane.ring.Cuts() {
		return 0, 0, false
	}
	return 0, end, true
}

// neededFor is how long an answer holds: a snapshot that goes meanwhile was the oldest.
const neededFor = 500 * time.Millisecond

// neededBySnapshots returns from where on a lane's archive must stay: what its oldest
// snapshot needs; all of it while there is none, if it reaches back to the beginning.
func neededBySnapshots(dir string) func(begin uint64) uint64 {
	var asked time.Time
	var last uint64
	return func(begin uint64) (from uint64) {
		if time.Since(asked) < neededFor {
			return last // asked each millisecond while something waits to go
		}
		defer func() { asked, last = time.Now(), from }()
		files, err := snapshot.List(disk.OS{}, dir)
		for i := range files {
			if files[i].Damage == nil {
				return files[i].Header.Last
			}
		}
		if begin == 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0
		}
		return archive.NoKeep // no state could be made of it
	}
}
