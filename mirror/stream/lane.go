package stream

import (
	"io"
	"sync/atomic"

	"onebeat/engine/app"
	"onebeat/mirror/archive"
	"onebeat/mirror/disk"
	"onebeat/mirror/lane"
	"onebeat/mirror/ring"
)

// View is what a lane's node is to it, as of now.
type View struct {
	Word   lane.Word
	Writer uint8 // of the epoch; 0: unknown
	// Safe is the position up to which every member of the in-sync set holds the
	// log, as far as this node knows.
	Safe uint64
}

// Snapshot is one that can be sent.
type Snapshot struct {
	SnapshotHead
	Open func() (io.ReadCloser, error)
}

// Lane is a lane's log as this host has it: in a ring, in an archive, or both.
type Lane struct {
	ID uint8
	// Ring is the ring of this process, or one pinned by another; nil: none.
	// Only what any thread may ask of it is asked.
	Ring *ring.Ring
	// Archive is the lane's directory on FS; empty: none.
	Archive string
	FS      disk.FS // nil: disk.OS
	// Look returns the present View; nil: all of the archive may be given away
	// (it holds nothing else), and nothing can be salvaged.
	Look func() View
	// Newest returns the newest good snapshot; nil: there are none.
	Newest func() (Snapshot, bool)
	// Peer may ask for the end of the log of an engine that died; 0: nobody.
	Peer uint8
}

// TableView returns a Look for a lane whose table is at hand, of this process or
// pinned by another.
func TableView(table *lane.Table, authority *uint64) func() View {
	return func() View {
		w := lane.Load(authority)
		v := View{Word: w, Safe: min(table.Committed(), atomic.LoadUint64(&table.Tail))}
		switch w.State() {
		case lane.Active, lane.Fenced:
			v.Writer = uint8(table.Config.Node)
		case lane.Standby:
			v.Writer = uint8(table.Config.PeerNode)
		}
		return v
	}
}

// files returns the lane's filesystem.
func (l *Lane) files() disk.FS {
	if l.FS == nil {
		return disk.OS{}
	}
	return l.FS
}

// status collects what there is to say. Cold: it opens the archive.
func (l *Lane) status(wallNs int64) LaneStatus {
	s := LaneStatus{Lane: l.ID, WallNs: wallNs}
	archived := false
	if l.Archive != "" {
		if r, err := archive.OpenReader(l.files(), l.Archive); err == nil {
			list := r.Segments()
			s.Begin, archived = r.Begin(), true
			s.Identity = list[len(list)-1].Header.Identity
			if l.Ring == nil {
				s.End, s.Epoch, s.TimeNs = archiveEnd(r)
			}
			_ = r.Close() // only read
		}
	}
	if l.Ring != nil {
		s.Ring, s.End = l.Ring.Oldest(), l.Ring.Tail()
		if !archived {
			s.Begin = s.Ring
		}
		s.TimeNs = lastTimeNs(l.Ring)
	}
	s.Safe = s.End
	if l.Look != nil {
		v := l.Look()
		s.State, s.Epoch, s.Writer, s.Safe = v.Word.State(), v.Word.Epoch(), v.Writer, min(v.Safe, s.End)
	}
	if l.Newest != nil {
		if snapshot, ok := l.Newest(); ok {
			s.Snapshot = snapshot.Position
		}
	}
	return s
}

// archiveEnd reads the newest segment to its end.
func archiveEnd(r *archive.Reader) (end uint64, epoch uint32, timeNs int64) {
	list := r.Segments()
	last := &list[len(list)-1]
	if last.Sealed {
		return last.Seal.End, last.Seal.LastEpoch, last.Seal.LastNs
	}
	end, epoch, timeNs = last.Header.First, last.Header.FirstEpoch, last.Header.FirstNs
	if r.Seek(last.Header.First) != nil {
		return end, epoch, timeNs
	}
	var rec app.Record
	for {
		more, err := r.Next(&rec)
		if !more || err != nil {
			return r.Position(), epoch, timeNs
		}
		epoch, timeNs = rec.Epoch, rec.TimeNs
	}
}

// lastTimeNs returns the time of the ring's last record; 0: not known.
func lastTimeNs(r *ring.Ring) int64 {
	head, _ := LastHead(r, r.Tail())
	return head.timeNs()
}

// LastHead returns the header of the record that ends at a position, the ring's
// tail or one close to it: it looks for a record some way before and follows the log
// from there. Any thread may ask.
func LastHead(r *ring.Ring, end uint64) (head RecordHead, found bool) {
	var b [ring.MaxRecordBytes]byte
	var rec app.Record
	for p := end - min(end, 2*ring.MaxRecordBytes); p < end; {
		n := copy(b[:], r.Bytes(p, min(end, p+ring.MaxRecordBytes)))
		next, state := ring.Decode(b[:n], p, &rec)
		if state != ring.Found {
			p += ring.AlignBytes
			continue
		}
		copy(head[:], b[:])
		p, found = next, next == end
	}
	return head, found
}
