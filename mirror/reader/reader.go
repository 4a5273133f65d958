package reader

import (
	"context"
	"errors"
	"fmt"
	"time"

	"onebeat/engine/app"
	"onebeat/mirror/archive"
	"onebeat/mirror/disk"
	"onebeat/mirror/ring"
)

// Config says what to read. Without BPFFS and File it is an archive alone, which
// says nothing of what is committed: Uncommitted must be set.
type Config struct {
	// BPFFS is the node's pin directory (node.bpffs), or File the lane's ring file
	// (transport udp, ringfile.Path).
	BPFFS, File string
	Lane        int
	// Archive is the lane's archive directory (archive.LaneDir); empty: none.
	Archive string
	FS      disk.FS // of the archive [disk.OS]
	// Uncommitted: everything in the log, also what a failover may take back.
	Uncommitted bool
}

var (
	// ErrConfig means that a Config names nothing that can be read.
	ErrConfig = errors.New("reader: nothing to read")
	// ErrLapped means that records were overwritten in the ring before they were
	// read, and no archive has them. An *archive.Gap in it says which. The same
	// error comes again until Seek goes elsewhere.
	ErrLapped = errors.New("the reader was lapped")
	// ErrOtherLog means that the memory or the archive holds the log of another
	// life of the lane than the one that was read.
	ErrOtherLog = errors.New("the lane began anew: what was read is another log")
	// ErrCorrupt means that the ring or an archive holds no record where one must
	// be.
	ErrCorrupt = errors.New("no whole record")

	errGone = errors.New("no node shares its memory there")
)

// Cut says that records that were returned are no part of the log any more: a
// failover went on without them. Only a reader of what is not committed meets it,
// or one whose lane an operator made go on without what it had. The reader stands
// at Position; the next record is what took their place.
type Cut struct{ Position uint64 }

func (c *Cut) Error() string {
	return fmt.Sprintf("the log was cut at %d: what was read from there on is no part of it any more", c.Position)
}

// Reader reads one lane's log. It belongs to one goroutine. Its memory does not
// depend on the log's length.
type Reader struct {
	c        Config
	mem      *memory // nil: not there now
	position uint64  // of the next record
	bound    uint64  // records before it may be read from the ring; 0: look first
	cuts     uint64  // number of the log's cuts that are taken in
	last     last    // the newest record returned
	// proven: the memory's log is the one that was read.
	proven   bool
	identity archive.Identity // of the log that was read, as far as known
	sinceNs  int64            // SeekTime: records before it are passed over
	gone     uint64           // the ring holds nothing before it, whatever its tail says
	buffer   [ring.MaxRecordBytes]byte
	scratch  [ring.MaxRecordBytes]byte // for looks that must not harm what was returned
	history  history
	idle     idle
	waits    string
	laps     uint64
}

// last is the newest record that was returned.
type last struct {
	position uint64
	epoch    uint32
	crc      uint32
	ok       bool
}

// Open opens a lane's log at the oldest record there is. A node that does not run
// is no error: its memory is there until somebody removes it, and waited for if
// there is none yet.
func Open(c Config) (*Reader, error) {
	if c.FS == nil {
		c.FS = disk.OS{}
	}
	switch {
	case c.BPFFS != "" && c.File != "":
		return nil, fmt.Errorf("%w: a pin directory and a ring file: give one of them", ErrConfig)
	case c.BPFFS == "" && c.File == "" && c.Archive == "":
		return nil, fmt.Errorf("%w: give a pin directory, a ring file or an archive", ErrConfig)
	case c.BPFFS == "" && c.File == "" && !c.Uncommitted:
		return nil, fmt.Errorf("%w: an archive alone does not say what of it is committed: give the node's memory too, or ask for all there is", ErrConfig)
	}
	r := &Reader{c: c, history: history{fs: c.FS, dir: c.Archive}}
	if err := r.attach(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	if err := r.SeekBegin(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// Next fills in the next record. more is false where the log ends for now: ask
// again; Waits says what for. The record's payload is valid until the next call.
// An error is a *Cut, ErrLapped, ErrOtherLog, ErrCorrupt, an *archive.Damage, or
// the system's; asking again is always allowed.
func (r *Reader) Next(rec *app.Record) (more bool, err error) {
	for {
		if r.position >= r.bound {
			if ready, err := r.look(); !ready || err != nil {
				return false, err
			}
		}
		if !r.copyOut(rec) {
			if err := r.missed(); err != nil {
				return false, err
			}
			continue
		}
		if rec.Type != app.RecordPadding && rec.TimeNs >= r.sinceNs {
			return true, nil
		}
	}
}

// copyOut reads the record at the position out of the ring or out of what history
// has read. The bytes are copied first and then checked: a writer waits for
// nobody. It pairs with the tail's and the cuts' stores in package ring.
func (r *Reader) copyOut(rec *app.Record) bool {
	if r.history.active {
		return r.history.take(r, rec)
	}
	g := r.mem.ring
	view := g.Bytes(r.position, min(r.bound, r.position+ring.MaxRecordBytes))
	n := copy(r.buffer[:ring.RecordBytes(view)], view)
	end, state := ring.Decode(r.buffer[:n], r.position, rec)
	if state != ring.Found || !g.Holds(r.position) || g.Cuts() != r.cuts {
		return false
	}
	r.took(rec, r.buffer[:n], end)
	return true
}

// took moves behind a record.
func (r *Reader) took(rec *app.Record, raw []byte, end uint64) {
	r.last = last{rec.Position, rec.Epoch, ring.CRC(raw), true}
	r.position = end
}

// Position returns the position of the record that Next returns, or of the
// padding before it.
func (r *Reader) Position() uint64 { return r.position }

// Seek goes to a record's start. The check that the log is the one that was read
// begins anew there.
func (r *Reader) Seek(position uint64) error {
	r.position, r.bound, r.sinceNs = position, 0, 0
	r.last = last{}
	return r.history.leave()
}

// SeekBegin goes to the oldest record there is.
func (r *Reader) SeekBegin() error {
	if r.mem != nil && r.mem.ring.Tail() > 0 && r.mem.ring.Oldest() == 0 {
		return r.Seek(0)
	}
	position, ok, err := r.history.begin()
	if err != nil {
		return err
	}
	if !ok && r.mem != nil {
		position = r.mem.ring.Oldest()
	}
	return r.Seek(position)
}

// SeekEnd goes to where the log ends now: what is appended, or committed, from now
// on.
func (r *Reader) SeekEnd() error { return r.Seek(r.End()) }

// SeekTime goes to the first record of a lane time or later.
func (r *Reader) SeekTime(timeNs int64) error {
	position, ok := uint64(0), false
	if r.mem != nil {
		position = r.mem.ring.Oldest()
		rec, _, state := r.mem.ring.Read(position)
		ok = state == ring.Found && rec.TimeNs <= timeNs
	}
	if !ok {
		at, found, err := r.history.beginTime(timeNs)
		if err != nil {
			return err
		}
		if found {
			position = at
		}
	}
	err := r.Seek(position)
	r.sinceNs = timeNs
	return err
}

// End returns the position up to which records can be read now.
func (r *Reader) End() uint64 {
	switch {
	case r.mem == nil:
		return r.history.end()
	case r.c.Uncommitted:
		return r.mem.ring.Tail()
	}
	return min(r.mem.table.Committed(), r.mem.ring.Tail())
}

// Waits says why Next last returned no record; empty: the log ends there.
func (r *Reader) Waits() string { return r.waits }

// Laps counts how often the ring was faster and the archive had to help.
func (r *Reader) Laps() uint64 { return r.laps }

// Follow calls visit for each record, for ever, until ctx ends or visit returns an
// error. idle is how long it sleeps when there is nothing new; 0: it spins.
func (r *Reader) Follow(ctx context.Context, idle time.Duration, visit func(*app.Record) error) error {
	var rec app.Record
	timer := time.NewTimer(idle)
	defer timer.Stop()
	for {
		more, err := r.Next(&rec)
		switch {
		case err != nil:
			return err
		case more:
			if err := visit(&rec); err != nil {
				return err
			}
			continue
		case ctx.Err() != nil:
			return nil
		case idle == 0:
			continue
		}
		timer.Reset(idle)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
	}
}

// Close lets go of memory and files.
func (r *Reader) Close() error { return errors.Join(r.detach(), r.history.close()) }
