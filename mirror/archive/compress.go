package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"onebeat/mirror/disk"
)

// errStopped ends a compression that is not wanted any more.
var errStopped = errors.New("stopped")

// compress makes a closed segment a compressed one, reads that back and only then
// removes the plain one. Its result is what List would say. stopped is asked between any
// two frames.
func compress(fs disk.FS, s Segment, stopped func() bool) (Segment, error) {
	c, err := fs.Open(s.Path, disk.Read, false)
	if err != nil {
		return s, err
	}
	dir := filepath.Dir(s.Path)
	to := filepath.Join(dir, fileName(s.first, compressedSuffix))
	next := to + disk.PartSuffix
	f, err := fs.Open(next, disk.Create, false)
	if err != nil {
		return s, errors.Join(err, c.Close())
	}
	size, err := pack(f, c, int64(s.Header.DataBytes), stopped)
	if err == nil {
		err = f.Datasync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = same(fs, next, c, HeaderBytes+int64(s.Header.DataBytes)+SealBytes, stopped)
	}
	if err = errors.Join(err, c.Close()); err == nil {
		err = fs.Rename(next, to)
	}
	if err != nil {
		return s, errors.Join(err, removeIfThere(fs, next))
	}
	if err := errors.Join(fs.SyncDir(dir), fs.Remove(s.Path)); err != nil {
		return s, err
	}
	s.Path, s.Compressed, s.FileBytes = to, true, size
	return s, nil
}

// pack writes the frames and their table.
func pack(f, c disk.File, dataBytes int64, stopped func() bool) (sizeBytes int64, err error) {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderCRC(true), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return 0, err
	}
	defer e.Close()
	lengths := frameLengths(dataBytes)
	table := make([]byte, skippableBytes, skippableBytes+len(lengths)*seekEntryBytes+seekFootBytes)
	raw := make([]byte, frameBytes)
	var out []byte
	from := int64(0)
	for _, n := range lengths {
		if stopped() {
			return 0, errStopped
		}
		if err := disk.ReadFull(c, raw[:n], from); err != nil {
			return 0, err
		}
		out = e.EncodeAll(raw[:n], out[:0])
		if err := writeAll(f, out, sizeBytes); err != nil {
			return 0, err
		}
		table = binary.LittleEndian.AppendUint32(table, uint32(len(out)))
		table = binary.LittleEndian.AppendUint32(table, uint32(n))
		from, sizeBytes = from+n, sizeBytes+int64(len(out))
	}
	table = binary.LittleEndian.AppendUint32(table, uint32(len(lengths)))
	table = append(table, 0)
	table = binary.LittleEndian.AppendUint32(table, seekMagic)
	binary.LittleEndian.PutUint32(table, skippableMagic)
	binary.LittleEndian.PutUint32(table[4:], uint32(len(table)-skippableBytes))
	return sizeBytes + int64(len(table)), writeAll(f, table, sizeBytes)
}

// same reads a compressed segment back and compares it with the plain one.
func same(fs disk.FS, path string, c disk.File, sizeBytes int64, stopped func() bool) error {
	p, err := openContent(fs, path, true)
	if err != nil {
		return err
	}
	a, b := make([]byte, frameBytes), make([]byte, frameBytes)
	for at := int64(0); at < sizeBytes && err == nil; at += frameBytes {
		n := min(frameBytes, sizeBytes-at)
		if stopped() {
			err = errStopped
		} else if err = errors.Join(disk.ReadFull(p, a[:n], at), disk.ReadFull(c, b[:n], at)); err == nil && !bytes.Equal(a[:n], b[:n]) {
			err = fmt.Errorf("%s: what was compressed reads back differently at %d", path, at)
		}
	}
	return errors.Join(err, p.Close())
}
