package snapshot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/zeebo/blake3"

	"onebeat/engine/app"
	"onebeat/mirror/disk"
)

// blockWriter puts a state into blocks, in one file, behind the header's place.
type blockWriter struct {
	f     disk.File
	at    int64
	block []byte
	state uint64
	sum   *blake3.Hasher
}

func newBlockWriter(f disk.File) *blockWriter {
	return &blockWriter{f: f, at: HeaderBytes, block: make([]byte, 0, BlockBytes+crcBytes), sum: blake3.New()}
}

// Write implements io.Writer.
func (w *blockWriter) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		room := BlockBytes - len(w.block)
		take := min(room, len(b))
		w.block = append(w.block, b[:take]...)
		b = b[take:]
		if len(w.block) == BlockBytes {
			if err := w.flush(); err != nil {
				return n - len(b), err
			}
		}
	}
	return n, nil
}

func (w *blockWriter) flush() error {
	if len(w.block) == 0 {
		return nil
	}
	w.state += uint64(len(w.block))
	if w.state > MaxStateBytes {
		return fmt.Errorf("a state of more than %d bytes", int64(MaxStateBytes))
	}
	w.block = binary.LittleEndian.AppendUint32(w.block, crc32.Checksum(w.block, castagnoli))
	_, _ = w.sum.Write(w.block) // cannot fail
	if err := writeFull(w.f, w.block, w.at); err != nil {
		return err
	}
	w.at += int64(len(w.block))
	w.block = w.block[:0]
	return nil
}

// finish writes the last block, the digest and the header.
func (w *blockWriter) finish(h *Header) error {
	if err := w.flush(); err != nil {
		return err
	}
	h.StateBytes = w.state
	var header [HeaderBytes]byte
	h.Put(header[:])
	_, _ = w.sum.Write(header[:]) // cannot fail
	return errors.Join(writeFull(w.f, w.sum.Sum(nil), w.at), writeFull(w.f, header[:], 0))
}

// writeFull writes all of b: a write that was short without an error is one.
func writeFull(f io.WriterAt, b []byte, at int64) error {
	n, err := f.WriteAt(b, at)
	if err == nil && n < len(b) {
		return fmt.Errorf("%w: %d bytes of %d at offset %d", io.ErrShortWrite, n, len(b), at)
	}
	return err
}

// Write saves a state. The file is there whole, and on the disk, or not at all;
// then the oldest ones beyond the number to keep go.
func (s *Store) Write(h Header, save func(*app.StateWriter)) (File, error) {
	return s.put(&h, func(f disk.File) error {
		b := newBlockWriter(f)
		w := app.NewStateWriter(b)
		save(w)
		if err := w.Flush(); err != nil {
			return err
		}
		return b.finish(&h)
	})
}

// Receive takes a file as it came from elsewhere. It counts only once all of it is
// here and was checked.
func (s *Store) Receive(r io.Reader) (File, error) {
	var first [HeaderBytes]byte
	if _, err := io.ReadFull(r, first[:]); err != nil {
		return File{}, fmt.Errorf("a received snapshot: %w", err)
	}
	var h Header
	if err := h.Parse(first[:]); err != nil {
		return File{}, fmt.Errorf("a received snapshot: %w", err)
	}
	return s.put(&h, func(f disk.File) error {
		if err := writeFull(f, first[:], 0); err != nil {
			return err
		}
		b := make([]byte, BlockBytes)
		for at, end := int64(HeaderBytes), h.fileBytes(); at < end; {
			n, err := io.ReadFull(r, b[:min(int64(len(b)), end-at)])
			if err != nil {
				return fmt.Errorf("received %d bytes of %d: %w", at+int64(n), end, err)
			}
			if err := writeFull(f, b[:n], at); err != nil {
				return err
			}
			at += int64(n)
		}
		return verify(f, s.pathOf(&h)+disk.PartSuffix, &h, nil)
	})
}

// put makes a file by fill under its .part name and gives it its own.
func (s *Store) put(h *Header, fill func(disk.File) error) (File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := s.pathOf(h)
	part := path + disk.PartSuffix
	f, err := s.fs.Open(part, disk.Create, false)
	if err != nil {
		return File{}, fmt.Errorf("snapshot: %w", err)
	}
	if err = fill(f); err == nil {
		err = f.Datasync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = s.fs.Rename(part, path)
	}
	if err == nil {
		err = s.fs.SyncDir(s.dir)
	} else if removed := s.fs.Remove(part); removed != nil {
		err = errors.Join(err, removed) // the next Open tries again
	}
	if err != nil {
		return File{}, fmt.Errorf("snapshot at %d: %w", h.Position, err)
	}
	file := File{Path: path, Header: *h, FileBytes: h.fileBytes(), fs: s.fs}
	return file, s.retain()
}
