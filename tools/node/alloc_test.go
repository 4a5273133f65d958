package node

import (
	"runtime"
	"strings"
	"testing"
)

// allocatesNothing counts over two thousand orders at once: a mean would hide
// what happens now and then. The counter is the whole process's: on a busy machine
// the runtime starts threads, and goroutines beside the loops wake up. So what it
// counts is looked for by name, in three more runs: nothing of the loops may be
// among it.
func (w *world) allocatesNothing() {
	w.t.Helper()
	defer w.onlyLoops()()
	orders := func() {
		for range 2000 {
			w.client.order()
			for range 4 {
				w.step()
			}
		}
	}
	if testing.AllocsPerRun(1, orders) <= 2 { // the runtime's own
		return
	}
	for range 3 {
		if found := allocations(orders, "(*world).step"); len(found) > 0 {
			w.t.Errorf("%d places allocate in 2000 orders, the first:\n%s", len(found), found[0])
			return
		}
	}
}

// allocations returns the stacks that allocated while f ran and in which a function
// of a name stands.
func allocations(f func(), name string) (stacks []string) {
	rate := runtime.MemProfileRate
	runtime.MemProfileRate = 1
	defer func() { runtime.MemProfileRate = rate }()
	before := allocated()
	f()
	for stack, n := range allocated() {
		if n <= before[stack] {
			continue
		}
		text, within := "", false
		frames := runtime.CallersFrames(trimmed(stack[:]))
		for more := true; more; {
			var frame runtime.Frame
			frame, more = frames.Next()
			within = within || strings.HasSuffix(frame.Function, name)
			text += frame.Function + "\n"
		}
		if within && !strings.Contains(text, "runtime.newm") && !strings.Contains(text, "runtime.acquireSudog") {
			stacks = append(stacks, text)
		}
	}
	return stacks
}

// allocated returns how many objects each stack has allocated so far. The profile
// is that of two collections ago.
func allocated() map[[32]uintptr]int64 {
	runtime.GC()
	runtime.GC()
	runtime.GC()
	records := make([]runtime.MemProfileRecord, 0)
	for {
		n, ok := runtime.MemProfile(records, true)
		if ok {
			records = records[:n]
			break
		}
		records = make([]runtime.MemProfileRecord, n+64)
	}
	counts := map[[32]uintptr]int64{}
	for i := range records {
		counts[records[i].Stack0] += records[i].AllocObjects
	}
	return counts
}

func trimmed(stack []uintptr) []uintptr {
	for n, pc := range stack {
		if pc == 0 {
			return stack[:n]
		}
	}
	return stack
}

var kept [][]byte

// The search finds what allocates, however seldom, and not what others do.
func TestAllocationsAreFound(t *testing.T) {
	w := &world{t: t}
	n := 0
	found := allocations(func() {
		for range 2000 {
			w.step() // of nobody
			if n++; n == 1000 {
				kept = append(kept, make([]byte, 100))
			}
		}
	}, "TestAllocationsAreFound.func1")
	kept = nil
	if len(found) == 0 {
		t.Error("one allocation in 2000 was not found")
	}
	if found := allocations(func() {
		for range 2000 {
			w.step()
		}
	}, "(*world).step"); len(found) > 0 {
		t.Errorf("found:\n%s", found[0])
	}
}
