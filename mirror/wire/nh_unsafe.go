package wire

import "unsafe"

// NHWords is the number of key words: one for each payload word.
const NHWords = PayloadMaxBytes / 4

// NH hashes up to PayloadMaxBytes: the sum of (m[2i]+k[2i])*(m[2i+1]+k[2i+1])
// over little-endian 32-bit words, the additions modulo 2^32, the rest modulo
// 2^64, p zero padded to a multiple of StepBytes. An empty p hashes to 0.
//
// Loads go through unsafe pointers: bounds checks and re-slicing cost a third
// of the time here. The loop reads p only below its length and the key only
// below NHWords, which the first check ensures. Little-endian machines only.
func NH(key *[NHWords]uint32, p []byte) uint64 {
	if len(p) > PayloadMaxBytes {
		panic("wire: NH over more than PayloadMaxBytes")
	}
	whole := len(p) &^ (StepBytes - 1)
	var s0, s1 uint64
	m, k := unsafe.Pointer(unsafe.SliceData(p)), unsafe.Pointer(key)
	for off := 0; off < whole; off += StepBytes {
		a, b := nhStep((*[4]uint64)(unsafe.Add(m, off)), (*[8]uint32)(unsafe.Add(k, off)))
		s0 += a
		s1 += b
	}
	if whole < len(p) {
		var last [4]uint64
		copy((*[StepBytes]byte)(unsafe.Pointer(&last))[:], p[whole:])
		a, b := nhStep(&last, (*[8]uint32)(unsafe.Add(k, whole)))
		s0 += a
		s1 += b
	}
	return s0 + s1
}

func nhStep(m *[4]uint64, k *[8]uint32) (uint64, uint64) {
	m0, m1, m2, m3 := m[0], m[1], m[2], m[3]
	return uint64(uint32(m0)+k[0])*uint64(uint32(m0>>32)+k[1]) +
			uint64(uint32(m1)+k[2])*uint64(uint32(m1>>32)+k[3]),
		uint64(uint32(m2)+k[4])*uint64(uint32(m2>>32)+k[5]) +
			uint64(uint32(m3)+k[6])*uint64(uint32(m3>>32)+k[7])
}
