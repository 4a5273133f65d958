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
func NH(key *[NHWords]uint32, p []byte) uint64 { return nhCopy(nil, p, key, 0) }

// nhCopy copies src to dst, unless that is nil, and returns its part of the NH
// sum of a payload in which it stands at byte offset at, a multiple of StepBytes.
// One pass for both: a load that spans several of a copy's stores waits until
// they have left the store buffer. Little-endian machines only.
//
// Loads go through unsafe pointers: bounds checks and re-slicing cost a third
// of the time here. src and dst are touched only below src's length and the key
// only below NHWords, which the first check ensures.
func nhCopy(dst, src []byte, key *[NHWords]uint32, at int) uint64 {
	if dst != nil && len(src) > len(dst) || at < 0 || at%StepBytes != 0 || at+len(src) > PayloadMaxBytes {
		panic("wire: NH over more than PayloadMaxBytes, or with nowhere to copy to")
	}
	d, s, k := unsafe.Pointer(unsafe.SliceData(dst)), unsafe.Pointer(unsafe.SliceData(src)), unsafe.Add(unsafe.Pointer(key), at)
	steps := len(src) / StepBytes
	var sum uint64
	if hasAVX2 {
		sum = nhStepsAVX2(d, s, k, steps)
	} else {
		sum = nhSteps(d, s, k, steps)
	}
	if whole := steps * StepBytes; whole < len(src) {
		var last [StepBytes]byte
		copy(last[:], src[whole:])
		if dst != nil {
			copy(dst[whole:], src[whole:])
		}
		sum += nhSteps(nil, unsafe.Pointer(&last), unsafe.Add(k, whole), 1)
	}
	return sum
}

// nhSteps is nhStepsAVX2 for machines without it.
func nhSteps(dst, src, key unsafe.Pointer, steps int) uint64 {
	var s0, s1 uint64
	for off := 0; off < steps*StepBytes; off += StepBytes {
		m, k := *(*[4]uint64)(unsafe.Add(src, off)), (*[8]uint32)(unsafe.Add(key, off))
		if dst != nil {
			*(*[4]uint64)(unsafe.Add(dst, off)) = m
		}
		s0 += uint64(uint32(m[0])+k[0])*uint64(uint32(m[0]>>32)+k[1]) +
			uint64(uint32(m[1])+k[2])*uint64(uint32(m[1]>>32)+k[3])
		s1 += uint64(uint32(m[2])+k[4])*uint64(uint32(m[2]>>32)+k[5]) +
			uint64(uint32(m[3])+k[6])*uint64(uint32(m[3]>>32)+k[7])
	}
	return s0 + s1
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
