package disk

import "unsafe"

// Aligned returns zeroed memory that begins at a page boundary, as direct I/O
// wants it.
func Aligned(lengthBytes int) []byte {
	b := make([]byte, lengthBytes+PageBytes)
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) & (PageBytes - 1)
	return b[skip : skip+lengthBytes : skip+lengthBytes]
}
