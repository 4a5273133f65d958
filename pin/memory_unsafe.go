package pin

import "unsafe"

func addressOf(memory []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(memory))) }

// hugepagesIn returns the part of memory that whole huge pages cover.
func hugepagesIn(memory []byte) (from, to int) {
	from = int(-addressOf(memory) & (hugepageBytes - 1))
	if from > len(memory) {
		return 0, 0
	}
	return from, from + (len(memory)-from)&^(hugepageBytes-1)
}
