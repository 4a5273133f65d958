package archive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"onebeat/mirror/disk"
)

// entryBytes is the length of an index entry and of the index's header.
const entryBytes = 64

// entry is one closed block in the index.
type entry struct {
	block
	// durable: the block was on the disk before this entry was written, so
	// its records cannot be missing after a crash.
	durable bool
	link    Hash
}

func (e *entry) end() uint64 { return e.position + uint64(e.lengthBytes) }

const entryDurable = 1

func (e *entry) put(b []byte) {
	clear(b[:entryBytes])
	binary.LittleEndian.PutUint64(b, e.position)
	binary.LittleEndian.PutUint64(b[8:], uint64(e.firstNs))
	binary.LittleEndian.PutUint32(b[16:], e.lengthBytes)
	binary.LittleEndian.PutUint32(b[20:], e.records)
	if e.durable {
		binary.LittleEndian.PutUint32(b[24:], entryDurable)
	}
	copy(b[32:], e.link[:])
	binary.LittleEndian.PutUint32(b[28:], entryCRC(b))
}

// entryCRC is over the entry with its checksum field left out.
func entryCRC(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:28], castagnoli), castagnoli, b[32:entryBytes])
}

func (e *entry) parse(b []byte) bool {
	if binary.LittleEndian.Uint32(b[28:]) != entryCRC(b) {
		return false
	}
	e.position = binary.LittleEndian.Uint64(b)
	e.firstNs = int64(binary.LittleEndian.Uint64(b[8:]))
	e.lengthBytes = binary.LittleEndian.Uint32(b[16:])
	e.records = binary.LittleEndian.Uint32(b[20:])
	flags := binary.LittleEndian.Uint32(b[24:])
	e.durable = flags&entryDurable != 0
	copy(e.link[:], b[32:])
	return flags&^entryDurable == 0 && e.lengthBytes != 0 && e.lengthBytes <= BlockBytes
}

var indexMagic = [8]byte{'O', 'B', 'A', 'R', 'C', 'I', 'D', 'X'}

func putIndexHeader(b []byte, lane uint8, first uint64) {
	clear(b[:entryBytes])
	copy(b, indexMagic[:])
	binary.LittleEndian.PutUint16(b[8:], Version)
	b[10] = lane
	binary.LittleEndian.PutUint64(b[16:], first)
	binary.LittleEndian.PutUint32(b[28:], entryCRC(b))
}

// entryCutShort is what a crash in the middle of a write leaves.
const entryCutShort = "an entry is cut short"

// parseIndex returns the entries before the first that is not whole. They
// follow each other from first on. problem says what ended them, at which
// offset; empty: the end of the file.
func parseIndex(b []byte, lane uint8, first uint64) (entries []entry, offset int64, problem string) {
	var want [entryBytes]byte
	putIndexHeader(want[:], lane, first)
	if len(b) < entryBytes || [entryBytes]byte(b) != want {
		return nil, 0, "the index's header is not this segment's"
	}
	position := first
	for at := entryBytes; at < len(b); at += entryBytes {
		var e entry
		switch {
		case len(b)-at < entryBytes:
			return entries, int64(at), entryCutShort
		case allZero(b[at : at+entryBytes]):
			return entries, int64(at), "" // a crash left room without an entry
		case !e.parse(b[at : at+entryBytes]):
			return entries, int64(at), "an entry's checksum is wrong"
		case e.position != position:
			return entries, int64(at), fmt.Sprintf("an entry is of position %d, not %d", e.position, position)
		}
		entries, position = append(entries, e), e.end()
	}
	return entries, int64(len(b)), ""
}

// indexMax bounds what is read of an index file: a block has at least one
// record, and all but the last are nearly full.
const indexMax = entryBytes * (2 + MaxSegmentBytes/(BlockBytes/2))

// readIndex reads a segment's index file. A missing one has no entries.
func readIndex(fs disk.FS, path string, lane uint8, first uint64) (entries []entry, offset int64, problem string, err error) {
	f, err := fs.Open(path, disk.Read, false)
	if isNotExist(err) {
		return nil, 0, "there is no index", nil
	}
	if err != nil {
		return nil, 0, "", err
	}
	size, err := f.Size()
	if err == nil && size > indexMax {
		err = fmt.Errorf("%w: %s: an index of %d bytes", ErrFormat, path, size)
	}
	var b []byte
	if err == nil {
		b = make([]byte, size)
		err = disk.ReadFull(f, b, 0)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, 0, "", err
	}
	entries, offset, problem = parseIndex(b, lane, first)
	return entries, offset, problem, nil
}
