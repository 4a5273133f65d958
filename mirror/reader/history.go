package reader

import (
	"errors"
	"sync/atomic"

	"onebeat/engine/app"
	"onebeat/mirror/archive"
	"onebeat/mirror/disk"
	"onebeat/mirror/ring"
)

// history is the archive's part in a reader.
type history struct {
	fs     disk.FS
	dir    string
	reader *archive.Reader
	// active: the reader is in the archive. chunk holds its records from at to to.
	active bool
	chunk  []byte
	to     uint64
}

// chunkBytes is how much of the archive is taken at a time.
const chunkBytes = 64 << 10

// archived returns up to where the archive holds the ring's log; ok is false while
// it has not followed the ring's last cut.
func (m *memory) archived(cuts uint64) (position uint64, ok bool) {
	a := &m.table.Archive
	followed := atomic.LoadUint64(&a.Cuts)
	position = atomic.LoadUint64(&a.Position)
	return position, followed == cuts && atomic.LoadUint64(&a.Cuts) == cuts
}

// has reports whether there is an archive to read.
func (h *history) has() bool { return h.dir != "" && h.open() == nil }

func (h *history) open() (err error) {
	if h.dir == "" {
		return archive.ErrEmpty
	}
	if h.reader == nil {
		h.reader, err = archive.OpenReader(h.fs, h.dir)
	}
	return err
}

// begin returns the archive's oldest position.
func (h *history) begin() (position uint64, ok bool, err error) {
	if err := h.open(); err != nil {
		return 0, false, absent(err)
	}
	return h.reader.Begin(), true, nil
}

// beginTime returns where to begin for a lane time.
func (h *history) beginTime(timeNs int64) (position uint64, ok bool, err error) {
	if err := h.open(); err != nil {
		return 0, false, absent(err)
	}
	if err := h.reader.SeekTime(timeNs); err != nil {
		return 0, false, err
	}
	return h.reader.Position(), true, nil
}

// end returns the end of an archive without a ring: whatever is whole in it.
func (h *history) end() uint64 {
	if h.open() != nil {
		return 0
	}
	return ^uint64(0)
}

// fill takes the records at a position, up to end at most.
func (h *history) fill(position, end uint64) (more bool, err error) {
	if err := h.open(); err != nil {
		return false, absent(err)
	}
	if h.reader.Position() != position {
		if err := h.reader.Seek(position); err != nil {
			return false, err
		}
	}
	records, _, err := h.reader.Raw(int(min(end-position, chunkBytes)))
	if errors.Is(err, archive.ErrEmpty) {
		return false, h.leave()
	}
	if err != nil || len(records) == 0 {
		return false, err
	}
	h.active, h.chunk, h.to = true, records, position+uint64(len(records))
	return true, nil
}

// take returns the chunk's next record, if the ring's log was not cut meanwhile.
func (h *history) take(r *Reader, rec *app.Record) bool {
	b := h.chunk[uint64(len(h.chunk))-(h.to-r.position):]
	end, state := ring.Decode(b, r.position, rec)
	if state != ring.Found || r.mem != nil && r.mem.ring.Cuts() != r.cuts {
		return false
	}
	r.took(rec, b, end)
	return true
}

// leave forgets what was read: the archive's end may be another the next time.
func (h *history) leave() error {
	h.active, h.chunk, h.to = false, nil, 0
	return h.close()
}

func (h *history) close() error {
	if h.reader == nil {
		return nil
	}
	err := h.reader.Close()
	h.reader = nil
	return err
}

// absent: no archive yet is no error.
func absent(err error) error {
	if errors.Is(err, archive.ErrEmpty) {
		return nil
	}
	return err
}
