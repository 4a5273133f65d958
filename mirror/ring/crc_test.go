package ring

import (
	"hash/crc32"
	"math/rand/v2"
	"testing"
)

// The checksum is the standard library's, for any length, start and beginning.
func TestUpdateIsTheLibrarys(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, 300)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	for from := range 9 {
		for length := range 200 {
			p, crc := b[from:from+length], r.Uint32()
			if got, want := update(crc, p), crc32.Update(crc, castagnoli, p); got != want {
				t.Fatalf("%d bytes from %d: %08x, want %08x", length, from, got, want)
			}
		}
	}
}
