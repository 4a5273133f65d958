package wire

import "unsafe"

// NHWords is the number of key words: one for each word of the payload, and
// for each of the header's before its MAC and two more (struct ob_nh_key).
const (
	NHWords = nhHeaderAt + offMAC/4 + 2

	nhHeaderAt = PayloadMaxBytes / 4
)

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

// nhHeader hashes a header up to its MAC twice, the second time with the key
// shifted by two words (RFC 4418's Toeplitz construction): two sums are as hard
// to meet by chance as one of twice the length.
func nhHeader(key *[NHWords]uint32, h *[HeaderBytes]byte) (sum0, sum1 uint64) {
	m := (*[offMAC / 8]uint64)(unsafe.Pointer(h))
	k := (*[offMAC/4 + 2]uint32)(key[nhHeaderAt:])
	for i, w := range m {
		a, b := uint32(w), uint32(w>>32)
		sum0 += uint64(a+k[2*i]) * uint64(b+k[2*i+1])
		sum1 += uint64(a+k[2*i+2]) * uint64(b+k[2*i+3])
	}
	return sum0, sum1
}
