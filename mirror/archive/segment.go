package archive

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"onebeat/engine/app"
	"onebeat/mirror/disk"
	"onebeat/mirror/ring"
)

// maxWriteBytes bounds the records of one write.
const maxWriteBytes = 256 << 10

func isEOF(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// segment is the one being written. A call that fails changes nothing that is
// not written again by the next: the records up to end stay what they are.
type segment struct {
	o         *Options
	path      string
	indexPath string
	file      disk.File // as configured, for records
	plain     disk.File // through the page cache, for what is rare; file itself unless direct
	index     disk.File
	header    Header
	chain     *chain
	end       uint64 // behind the last record written
	durable   uint64 // behind the last record on the disk
	suspect   bool   // a sync failed: what is behind durable must be written again
	dirty     int64  // file offset that writes may have reached
	records   uint64 // without padding
	lastNs    int64
	lastEpoch uint32
	// buffer begins at the page boundary before end and holds that page so far:
	// direct I/O writes whole pages.
	buffer  []byte
	pending []entry // not in the index file yet
	indexAt int64   // where they go
	runs    []run
}

// run is a part of what is appended that lies in one block.
type run struct {
	end     int // in the bytes appended
	records int
	firstNs int64
	closes  bool // the block before it ends where it begins
}

// batch is what a look at records found.
type batch struct {
	taken     int // bytes that fit
	records   int
	lastNs    int64
	lastEpoch uint32
}

func (s *segment) offset(position uint64) int64 { return HeaderBytes + int64(position-s.header.First) }

func (s *segment) limit() uint64 { return s.header.First + s.header.DataBytes }

// look checks records that shall follow the segment's last one, divides them into
// blocks and says how many bytes fit.
func (s *segment) look(records []byte) (batch, error) {
	b := batch{lastNs: s.lastNs, lastEpoch: s.lastEpoch}
	s.runs = s.runs[:0]
	inBlock := int(s.chain.b.lengthBytes)
	var rec app.Record
	for b.taken < len(records) && b.taken < maxWriteBytes-ring.MaxRecordBytes {
		at := s.end + uint64(b.taken)
		end, state := ring.Decode(records[b.taken:], at, &rec)
		if state != ring.Found {
			return b, fmt.Errorf("%w at %d: %v", ring.ErrRecord, at, state)
		}
		if !padded(&rec, records[b.taken:end-s.end]) {
			return b, fmt.Errorf("%w at %d: it is not padded with zeros", ring.ErrRecord, at)
		}
		if rec.Epoch < b.lastEpoch || rec.TimeNs < b.lastNs {
			return b, fmt.Errorf("%w at %d: epoch %d and lane time %d after %d and %d", ring.ErrRecord, at,
				rec.Epoch, rec.TimeNs, b.lastEpoch, b.lastNs)
		}
		if end > s.limit() {
			break
		}
		length := int(end - at)
		closes := inBlock > 0 && inBlock+length > BlockBytes
		if closes || len(s.runs) == 0 {
			s.runs = append(s.runs, run{firstNs: rec.TimeNs, closes: closes})
		}
		if closes {
			inBlock = 0
		}
		inBlock += length
		b.taken += length
		r := &s.runs[len(s.runs)-1]
		r.end = b.taken
		if rec.Type != app.RecordPadding {
			r.records++
			b.records++
		}
		b.lastNs, b.lastEpoch = rec.TimeNs, rec.Epoch
	}
	return b, nil
}

// append writes as many of the records as fit and returns their bytes; 0: the
// segment is full.
func (s *segment) append(records []byte) (taken int, err error) {
	b, err := s.look(records)
	if err != nil || b.taken == 0 {
		return 0, err
	}
	records = records[:b.taken]
	if err := s.write(records); err != nil {
		return 0, err
	}
	from := 0
	for _, r := range s.runs {
		if r.closes {
			s.pending = append(s.pending, s.chain.close())
		}
		s.chain.add(records[from:r.end], r.records, r.firstNs)
		from = r.end
	}
	s.records += uint64(b.records)
	s.lastNs, s.lastEpoch = b.lastNs, b.lastEpoch
	s.end += uint64(b.taken)
	return b.taken, nil
}

// write puts records behind the last ones.
func (s *segment) write(records []byte) error {
	at := s.offset(s.end)
	head := int(at % disk.PageBytes) // of its page, already in the buffer
	n := head + copy(s.buffer[head:], records)
	s.dirty = max(s.dirty, at+int64(len(records)))
	var err error
	if s.o.Direct {
		whole := (n + disk.PageBytes - 1) &^ (disk.PageBytes - 1)
		clear(s.buffer[n:whole])
		err = writeAll(s.file, s.buffer[:whole], at-int64(head))
	} else {
		err = writeAll(s.file, s.buffer[head:n], at)
	}
	if err != nil {
		return err
	}
	copy(s.buffer, s.buffer[n&^(disk.PageBytes-1):n])
	return nil
}

// writeAll writes everything or fails.
func writeAll(f io.WriterAt, b []byte, at int64) error {
	n, err := f.WriteAt(b, at)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return err
}

// sync brings everything written to the disk, and then the index entries of
// what is there.
func (s *segment) sync() error {
	if s.durable != s.end || s.suspect {
		if err := s.syncData(); err != nil {
			return err
		}
	}
	return s.writeIndex()
}

// syncData: after a failed sync the kernel may have dropped what it could not
// write and calls it clean. It is written again before the next sync is believed.
func (s *segment) syncData() error {
	if s.suspect {
		if err := s.writeAgain(); err != nil {
			return err
		}
	}
	s.suspect = true
	if err := s.file.Datasync(); err != nil {
		return err
	}
	s.suspect = false
	s.durable = s.end
	return nil
}

// writeAgain reads back what is not known to be on the disk, checks it and
// writes it.
func (s *segment) writeAgain() error {
	b := make([]byte, maxWriteBytes)
	for at := s.durable; at < s.end; {
		n := min(uint64(len(b)), s.end-at)
		if err := disk.ReadFull(s.plain, b[:n], s.offset(at)); err != nil {
			return err
		}
		whole := 0
		for uint64(whole) < n {
			var rec app.Record
			end, state := ring.Decode(b[whole:n], at+uint64(whole), &rec)
			if state == ring.BadLength && whole > 0 && at+n < s.end {
				break // goes on in the next piece
			}
			if state != ring.Found {
				position := at + uint64(whole)
				return &Damage{s.path, s.offset(position), position, "lost by a failed sync: " + state.String()}
			}
			whole = int(end - at)
		}
		if err := writeAll(s.plain, b[:whole], s.offset(at)); err != nil {
			return err
		}
		at += uint64(whole)
	}
	return s.plain.Datasync()
}

// writeIndex writes the entries of closed blocks. With a sync policy they wait
// until their blocks are on the disk.
func (s *segment) writeIndex() error {
	n := 0
	b := make([]byte, 0, len(s.pending)*entryBytes)
	for n < len(s.pending) && (s.o.Sync == SyncNone || s.pending[n].end() <= s.durable) {
		e := &s.pending[n]
		e.durable = s.o.Sync != SyncNone
		b = append(b, make([]byte, entryBytes)...)
		e.put(b[n*entryBytes:])
		n++
	}
	if n == 0 {
		return nil
	}
	if err := writeAll(s.index, b, s.indexAt); err != nil {
		return err
	}
	s.indexAt += int64(len(b))
	s.pending = append(s.pending[:0], s.pending[n:]...)
	return nil
}

// seal closes the segment: no record follows in it.
func (s *segment) seal() (Seal, error) {
	if s.o.Sync != SyncNone {
		if err := s.sync(); err != nil {
			return Seal{}, err
		}
	}
	if s.chain.b.lengthBytes > 0 {
		s.pending = append(s.pending, s.chain.close())
	}
	seal := Seal{Lane: s.header.Lane, First: s.header.First, End: s.end, Records: s.records,
		LastNs: s.lastNs, LastEpoch: s.lastEpoch, Chain: s.chain.link}
	if err := errors.Join(s.writeIndex(), s.clearRest()); err != nil {
		return Seal{}, err
	}
	page := make([]byte, SealBytes)
	seal.Put(page)
	if err := writeAll(s.plain, page, HeaderBytes+int64(s.header.DataBytes)); err != nil {
		return Seal{}, err
	}
	if s.o.Sync != SyncNone {
		if err := errors.Join(s.plain.Datasync(), s.index.Datasync()); err != nil {
			return Seal{}, err
		}
	}
	return seal, nil
}

// clearRest zeroes what failed writes may have left behind the last record: it
// must not look like records.
func (s *segment) clearRest() error {
	from := s.offset(s.end)
	if s.dirty <= from {
		return nil
	}
	if err := zero(s.plain, from, s.dirty); err != nil {
		return err
	}
	s.dirty = from
	return nil
}

// zero writes zeros.
func zero(f io.WriterAt, from, to int64) error {
	b := make([]byte, min(to-from, maxWriteBytes))
	for from < to {
		n := min(int64(len(b)), to-from)
		if err := writeAll(f, b[:n], from); err != nil {
			return err
		}
		from += n
	}
	return nil
}

// close lets go of the files.
func (s *segment) close() error {
	errs := []error{s.file.Close(), s.index.Close()}
	if s.o.Direct {
		errs = append(errs, s.plain.Close())
	}
	return errors.Join(errs...)
}

// createSegment makes a segment's files and opens them.
func createSegment(o *Options, h Header) (*segment, error) {
	s := &segment{o: o, header: h, path: o.file(h.First, segmentSuffix), indexPath: o.file(h.First, indexSuffix)}
	if err := s.create(); err != nil {
		return nil, err
	}
	if err := s.open(); err != nil {
		return nil, err
	}
	s.chain = newChain(h.Chain, h.First)
	s.end, s.durable, s.indexAt = h.First, h.First, entryBytes
	return s, nil
}

// create writes the files of a segment without records. The segment's name
// appears last, when everything behind it is whole.
func (s *segment) create() (err error) {
	fs, next := s.o.FS, s.path+disk.PartSuffix
	head := make([]byte, entryBytes)
	putIndexHeader(head, s.header.Lane, s.header.First)
	if err := s.writeNew(s.indexPath, head, 0); err != nil {
		return err
	}
	page := make([]byte, HeaderBytes)
	s.header.Put(page)
	err = s.writeNew(next, page, s.o.SegmentBytes)
	if err == nil {
		err = fs.Rename(next, s.path)
	}
	if err != nil {
		return errors.Join(err, removeIfThere(fs, next), removeIfThere(fs, s.indexPath))
	}
	if s.o.Sync != SyncNone {
		return fs.SyncDir(s.o.Dir)
	}
	return nil
}

func (s *segment) writeNew(path string, b []byte, sizeBytes int64) error {
	f, err := s.o.FS.Open(path, disk.Create, false)
	if err != nil {
		return err
	}
	if sizeBytes > 0 {
		err = f.Allocate(sizeBytes)
	}
	if err == nil {
		err = writeAll(f, b, 0)
	}
	if err == nil && s.o.Sync != SyncNone {
		err = f.Datasync()
	}
	return errors.Join(err, f.Close())
}

func removeIfThere(fs disk.FS, path string) error {
	if err := fs.Remove(path); err != nil && !isNotExist(err) {
		return err
	}
	return nil
}

// open opens the files of a segment that is there.
func (s *segment) open() error {
	fs := s.o.FS
	var err error
	if s.file, err = fs.Open(s.path, disk.Write, s.o.Direct); err != nil {
		return err
	}
	s.plain = s.file
	if s.o.Direct {
		if s.plain, err = fs.Open(s.path, disk.Write, false); err != nil {
			return errors.Join(err, s.file.Close())
		}
	}
	if s.index, err = fs.Open(s.indexPath, disk.Write, false); err != nil {
		err = errors.Join(err, s.file.Close())
		if s.o.Direct {
			err = errors.Join(err, s.plain.Close())
		}
		return err
	}
	s.buffer = disk.Aligned(maxWriteBytes + 2*disk.PageBytes)
	return nil
}
