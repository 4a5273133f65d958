package xdp

// umem is the frame memory of one socket, cut into chunks of equal size. The
// first rxBytes of it only ever go round fill and rx ring, the rest only round
// tx and completion ring: neither side can starve the other, and no frame
// needs an owner field.
type umem struct {
	memory     []byte
	chunkBytes uint64 // power of two
	rxBytes    uint64
}

// frame returns the lengthBytes bytes at addr, or nil when the descriptor
// points outside of the receive half or across a chunk. The rings are shared
// memory; one compare keeps a bad address from becoming a bad slice.
func (u *umem) frame(addr uint64, lengthBytes uint32) []byte {
	end := addr + uint64(lengthBytes)
	if end > u.rxBytes || end < addr || addr&^(u.chunkBytes-1) != (end-1)&^(u.chunkBytes-1) {
		return nil
	}
	return u.memory[addr:end:end]
}

// chunk returns the whole chunk at addr, which must come from owns.
func (u *umem) chunk(addr uint64) []byte {
	end := addr + u.chunkBytes
	return u.memory[addr:end:end]
}

// ownsTx says that addr is the start of a chunk of the sending half.
func (u *umem) ownsTx(addr uint64) bool {
	return addr >= u.rxBytes && addr < uint64(len(u.memory)) && addr&(u.chunkBytes-1) == 0
}

// ownsRx says that addr lies in the receiving half.
func (u *umem) ownsRx(addr uint64) bool { return addr < u.rxBytes }
