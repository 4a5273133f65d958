package publish

import (
	"sync/atomic"
	"testing"
)

// A reader that sees the published number sees what was written before it.
func TestReleaseOrdersEarlierStores(t *testing.T) {
	const rounds = 200_000
	var data [8]uint64
	var published, taken uint64
	go func() {
		for n := uint64(1); n <= rounds; n++ {
			for i := range data {
				atomic.StoreUint64(&data[i], n)
			}
			Uint64(&published, n)
			for atomic.LoadUint64(&taken) != n {
			}
		}
	}()
	for n := uint64(1); n <= rounds; n++ {
		for atomic.LoadUint64(&published) != n {
		}
		for i := range data {
			if v := atomic.LoadUint64(&data[i]); v != n {
				t.Fatalf("word %d is %d in round %d", i, v, n)
			}
		}
		Uint64(&taken, n)
	}
}

func TestUint32(t *testing.T) {
	v := uint32(1)
	if Uint32(&v, 7); v != 7 {
		t.Error(v)
	}
}
