package archive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"onebeat/mirror/disk"
)

// content is a segment's bytes, compressed or not: header page, record area,
// seal page.
type content interface {
	io.ReaderAt
	io.Closer
}

// A compressed segment is a zstd file in the seekable format: `zstd -d` makes
// the segment of it. Its frames are the header page, pieces of the record area,
// the seal page, each with a checksum; then a skippable frame with their lengths.
const (
	frameBytes = 256 << 10 // of the record area in one frame

	skippableMagic = 0x184D2A5E
	seekMagic      = 0x8F92EAB1
	seekFootBytes  = 9
	seekEntryBytes = 8
	skippableBytes = 8 // magic and length
)

// frameLengths returns the uncompressed lengths of a segment's frames.
func frameLengths(dataBytes int64) []int64 {
	lengths := []int64{HeaderBytes}
	for left := dataBytes; left > 0; left -= frameBytes {
		lengths = append(lengths, min(left, frameBytes))
	}
	return append(lengths, SealBytes)
}

// packed reads a compressed segment. It belongs to one goroutine.
type packed struct {
	f       disk.File
	path    string
	decoder *zstd.Decoder
	offsets []int64 // of frames in the file, and the end of the last
	starts  []int64 // of frames in the segment, and the end of the last
	raw     []byte
	frame   []byte // the one decoded
	at      int    // which; -1: none
}

// openContent opens a segment for reading.
func openContent(fs disk.FS, path string, compressed bool) (content, error) {
	f, err := fs.Open(path, disk.Read, false)
	if err != nil {
		return nil, err
	}
	if !compressed {
		return f, nil
	}
	p := &packed{f: f, path: path, at: -1}
	if err := p.open(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return p, nil
}

func (p *packed) damage(offset int64, problem string) error {
	return &Damage{File: p.path, Offset: offset, Problem: problem}
}

// open reads the table of frames.
func (p *packed) open() error {
	size, err := p.f.Size()
	if err != nil {
		return err
	}
	var foot [seekFootBytes]byte
	if size < seekFootBytes {
		return p.damage(size, "the compressed segment is cut short")
	}
	if err := disk.ReadFull(p.f, foot[:], size-seekFootBytes); err != nil {
		return err
	}
	count := int64(binary.LittleEndian.Uint32(foot[:]))
	table := skippableBytes + count*seekEntryBytes + seekFootBytes
	if binary.LittleEndian.Uint32(foot[5:]) != seekMagic || foot[4] != 0 || count < 3 || count > MaxSegmentBytes/frameBytes+3 || table > size {
		return p.damage(size-seekFootBytes, "the compressed segment's table of frames does not end it")
	}
	b := make([]byte, table)
	if err := disk.ReadFull(p.f, b, size-table); err != nil {
		return err
	}
	if binary.LittleEndian.Uint32(b) != skippableMagic || int64(binary.LittleEndian.Uint32(b[4:])) != table-skippableBytes {
		return p.damage(size-table, "the compressed segment has no table of frames")
	}
	p.offsets, p.starts = []int64{0}, []int64{0}
	for i := range count {
		e := b[skippableBytes+i*seekEntryBytes:]
		length := int64(binary.LittleEndian.Uint32(e[4:]))
		page := i == 0 || i == count-1
		if page && length != disk.PageBytes || !page && (length == 0 || length > frameBytes || i < count-2 && length != frameBytes) {
			return p.damage(size-table+skippableBytes+i*seekEntryBytes, "the compressed segment's table of frames is harmed")
		}
		p.offsets = append(p.offsets, p.offsets[i]+int64(binary.LittleEndian.Uint32(e)))
		p.starts = append(p.starts, p.starts[i]+length)
	}
	if p.offsets[count] != size-table {
		return p.damage(size-table, "the compressed segment's frames do not end where their table begins")
	}
	p.decoder, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(2*frameBytes), zstd.WithDecoderLowmem(true))
	return err
}

// ReadAt implements content.
func (p *packed) ReadAt(b []byte, off int64) (int, error) {
	n := 0
	last := len(p.starts) - 1
	for n < len(b) && off < p.starts[last] {
		i := 0
		switch {
		case off >= p.starts[last-1]:
			i = last - 1
		case off >= HeaderBytes:
			i = 1 + int((off-HeaderBytes)/frameBytes)
		}
		if err := p.decode(i); err != nil {
			return n, err
		}
		done := copy(b[n:], p.frame[off-p.starts[i]:])
		n, off = n+done, off+int64(done)
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// decode makes frame i the decoded one.
func (p *packed) decode(i int) error {
	if p.at == i {
		return nil
	}
	p.at = -1
	length := int(p.offsets[i+1] - p.offsets[i])
	want := int(p.starts[i+1] - p.starts[i])
	if length > 2*frameBytes {
		return p.damage(p.starts[i], fmt.Sprintf("a frame of %d compressed bytes", length))
	}
	if cap(p.raw) < length {
		p.raw = make([]byte, 2*frameBytes)
		p.frame = make([]byte, 0, frameBytes+disk.PageBytes)
	}
	p.raw = p.raw[:length]
	if err := disk.ReadFull(p.f, p.raw, p.offsets[i]); err != nil {
		return err
	}
	out, err := p.decoder.DecodeAll(p.raw, p.frame[:0])
	if err != nil || len(out) != want {
		if err == nil {
			err = fmt.Errorf("%d bytes instead of %d", len(out), want)
		}
		return p.damage(p.starts[i], "a compressed frame cannot be read: "+err.Error())
	}
	p.frame, p.at = out, i
	return nil
}

// Close implements content.
func (p *packed) Close() error {
	p.decoder.Close()
	return p.f.Close()
}
