package pin

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

var garbage []byte // what is stored here is on the heap

func TestCollectByNeed(t *testing.T) {
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	release := CollectByNeed()
	defer release()
	runtime.GC() // the one that has it look at the heap as it is
	time.Sleep(100 * time.Millisecond)
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	first := m.NumGC
	for range collectBytes / 4 >> 20 {
		garbage = make([]byte, 1<<20)
	}
	runtime.ReadMemStats(&m)
	if m.NumGC != first {
		t.Errorf("%d collections for %d MiB of garbage, want none", m.NumGC-first, collectBytes/4>>20)
	}
	const rounds = 64 // a GiB
	most := uint64(0)
	for range rounds {
		for range 16 {
			garbage = make([]byte, 1<<20)
		}
		runtime.ReadMemStats(&m)
		most = max(most, m.HeapAlloc)
	}
	if n := m.NumGC - first; n == 0 {
		t.Error("no collection for a GiB of garbage")
	}
	if most > 8*collectBytes {
		t.Errorf("the heap had %d MiB, want a collection after %d", most>>20, collectBytes>>20)
	}
	release()
	if got := debug.SetGCPercent(100); got != 100 {
		t.Errorf("GOGC is %d after the release, want 100", got)
	}
}

func TestCollectByNeedKeepsTheLimit(t *testing.T) {
	const limit = 1 << 40
	before := debug.SetMemoryLimit(limit)
	defer debug.SetMemoryLimit(before)
	CollectByNeed()()
	if got := debug.SetMemoryLimit(-1); got != limit {
		t.Errorf("the memory limit is %d after the release, want %d", got, int64(limit))
	}
}
