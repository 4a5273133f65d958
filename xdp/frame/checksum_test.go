package frame

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// slowSum is RFC 1071 as it is written: 16 bits at a time, in network order.
func slowSum(b []byte) uint16 {
	sum := uint32(0)
	for i := 0; i < len(b); i += 2 {
		sum += uint32(b[i]) << 8
		if i+1 < len(b) {
			sum += uint32(b[i+1])
		}
		sum = sum&0xffff + sum>>16
	}
	return uint16(sum)
}

func summed(r *rand.Rand, payloadBytes int) []byte {
	b := make([]byte, HeaderBytes+payloadBytes)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	var t Template
	src := Endpoint{IP: IPv4([4]byte{10, 0, byte(r.Uint32()), 1}), Port: uint16(r.Uint32())}
	dst := Endpoint{IP: IPv4([4]byte{10, 0, byte(r.Uint32()), 2}), Port: uint16(r.Uint32())}
	t.PutSummed(b, &src, src.Port, &dst, payloadBytes)
	return b
}

func TestChecksumIsThatOfTheRFC(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 1473 {
		b := summed(r, n)
		pseudo := append(append([]byte{}, b[offIPSrc:offUDPSrc]...), 0, protocolUDP)
		pseudo = binary.BigEndian.AppendUint16(pseudo, uint16(8+n))
		if sum := slowSum(append(pseudo, b[offUDPSrc:]...)); sum != 0xffff {
			t.Fatalf("payload of %d bytes: the sum is %04x", n, sum)
		}
		if binary.BigEndian.Uint16(b[offUDPSum:]) == 0 {
			t.Fatalf("payload of %d bytes: checksum 0 means none", n)
		}
	}
}

// No single flipped bit of what the checksum covers passes, but for those that
// remove the checksum's last bit.
func TestChecksumFindsEveryFlippedBit(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var from Endpoint
	for _, n := range []int{0, 1, 7, 8, 100} {
		b := summed(r, n)
		if _, _, ok := Parse(b, &from); !ok {
			t.Fatalf("payload of %d bytes: refused", n)
		}
		for bit := offIPSrc * 8; bit < len(b)*8; bit++ {
			b[bit/8] ^= 1 << (bit % 8)
			_, _, ok := Parse(b, &from)
			if ok && binary.BigEndian.Uint16(b[offUDPSum:]) != 0 {
				t.Errorf("payload of %d bytes: bit %d flipped, and it passes", n, bit)
			}
			b[bit/8] ^= 1 << (bit % 8)
		}
	}
}

func TestChecksumThatIsNone(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	var from Endpoint
	b := summed(r, 64)
	binary.BigEndian.PutUint16(b[offUDPSum:], 0)
	if _, _, ok := Parse(b, &from); !ok {
		t.Error("a datagram without checksum was refused")
	}
	// What Linux leaves for a NIC (skb->csum_start, CHECKSUM_PARTIAL).
	pseudo := append(append([]byte{}, b[offIPSrc:offUDPSrc]...), 0, protocolUDP, 0, 8+64)
	binary.BigEndian.PutUint16(b[offUDPSum:], slowSum(pseudo))
	if _, _, ok := Parse(b, &from); !ok {
		t.Error("a datagram whose checksum was left to a NIC was refused")
	}
	binary.BigEndian.PutUint16(b[offUDPSum:], slowSum(pseudo)+1)
	if _, _, ok := Parse(b, &from); ok {
		t.Error("a wrong checksum passed")
	}
}

func BenchmarkChecksum(b *testing.B) {
	f := summed(rand.New(rand.NewPCG(7, 8)), 110)
	for b.Loop() {
		if !intact(f, len(f)-offUDPSrc) {
			b.Fatal("refused")
		}
	}
}
