package ring

import (
	"hash/crc32"

	"golang.org/x/sys/cpu"
)

var hasSSE42 = cpu.X86.HasSSE42

// crcSSE42 is crc32.Update with Castagnoli's polynomial.
//
//go:noescape
func crcSSE42(crc uint32, p []byte) uint32

// update is crc32.Update with Castagnoli's polynomial. Records are short: what the
// standard library does before the first byte takes as long as the bytes.
func update(crc uint32, p []byte) uint32 {
	if !hasSSE42 {
		return crc32.Update(crc, castagnoli, p)
	}
	return crcSSE42(crc, p)
}
