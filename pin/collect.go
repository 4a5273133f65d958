package pin

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
)

// collectBytes is the least that is allocated between two collections.
const collectBytes = 32 << 20

// CollectByNeed lets Go collect garbage when there is some, and only then: after as much
// as the live heap was allocated, collectBytes at least. By itself it collects each two
// minutes too, whatever there is (runtime/proc.go, forcegcperiod), and stops every loop of
// the process for it. GOMEMLIMIT still holds; GOGC has no effect.
//
// release makes it as it was.
func CollectByNeed() (release func()) {
	n := &need{most: debug.SetMemoryLimit(-1)}
	percent := debug.SetGCPercent(-1)
	n.collected()
	return func() {
		n.ended.Store(true)
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(n.most)
	}
}

// need sets the memory limit anew after each collection.
type need struct {
	most  int64 // the limit that was set before
	ended atomic.Bool
}

// sentinel is garbage as soon as it is made: its cleanup tells of a collection. It holds
// a pointer, as small objects without one share their place with others, which may live.
type sentinel struct{ _ *sentinel }

func (n *need) collected() {
	if n.ended.Load() {
		return
	}
	debug.SetMemoryLimit(min(limitBytes(), n.most))
	runtime.AddCleanup(new(sentinel), (*need).collected, n)
}

// limitBytes is the memory limit at which the next collection begins in time. What the
// runtime compares with it is all that is mapped and not given back, less a headroom of 3 %
// (runtime/mgcpacer.go, memoryLimitHeapGoal).
func limitBytes() int64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"},
		{Name: "/memory/classes/heap/free:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(samples)
	var v [5]uint64
	for i := range samples {
		v[i] = samples[i].Value.Uint64()
	}
	total, released, free, objects, live := v[0], v[1], v[2], v[3], v[4]
	other := total - released - free - objects
	goal := other + live + max(live, collectBytes)
	return int64(min(goal+goal/32, math.MaxInt64))
}
