package archive

import (
	"encoding/binary"

	"github.com/zeebo/blake3"
)

// chain hashes the log in blocks:
//
//	link(k) = BLAKE3(link(k-1) ‖ position of block k, u64 LE ‖ the block's records)
//
// link(-1) is 32 zero bytes. Where a block ends follows from the records alone:
// before the first one that would make it longer than BlockBytes, and at a
// segment's end. So two archives of one log, of one segment size and begun at one
// position, have the same links.
type chain struct {
	h    *blake3.Hasher
	link Hash // behind the last closed block
	b    block
}

// block is the one being filled.
type block struct {
	position    uint64
	lengthBytes uint32
	records     uint32 // without padding
	firstNs     int64
}

func newChain(link Hash, position uint64) *chain {
	c := &chain{h: blake3.New(), link: link}
	c.start(position)
	return c
}

func (c *chain) start(position uint64) {
	c.b = block{position: position}
	c.h.Reset()
	var first [8]byte
	binary.LittleEndian.PutUint64(first[:], position)
	c.write(c.link[:])
	c.write(first[:])
}

// write cannot fail; the hasher's signature only says so.
func (c *chain) write(b []byte) { _, _ = c.h.Write(b) }

// fits reports whether a record belongs to the block being filled.
func (c *chain) fits(lengthBytes int) bool {
	return c.b.lengthBytes == 0 || int(c.b.lengthBytes)+lengthBytes <= BlockBytes
}

// add takes whole records into the block.
func (c *chain) add(records []byte, count int, firstNs int64) {
	if c.b.lengthBytes == 0 {
		c.b.firstNs = firstNs
	}
	c.b.lengthBytes += uint32(len(records))
	c.b.records += uint32(count)
	c.write(records)
}

// close ends the block and returns its index entry.
func (c *chain) close() entry {
	e := entry{block: c.b}
	c.h.Sum(c.link[:0])
	e.link = c.link
	c.start(c.b.position + uint64(c.b.lengthBytes))
	return e
}

// head returns the chain over everything added, the open block included.
func (c *chain) head() Hash {
	if c.b.lengthBytes == 0 {
		return c.link
	}
	var h Hash
	c.h.Sum(h[:0])
	return h
}

// IdentityOf returns the identity of the lane whose log begins with a record.
func IdentityOf(record []byte) (id Identity) {
	sum := blake3.Sum256(record)
	copy(id[:], sum[:])
	return id
}
