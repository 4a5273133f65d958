package table

import (
	"math/rand/v2"
	"testing"
)

// TestU64SpreadsSessions: sessions that all number from 1 do not crowd the table.
func TestU64SpreadsSessions(t *testing.T) {
	for sessions := 1; sessions <= 1024; sessions *= 4 {
		tab := NewU64(1 << 16)
		for k := range 1 << 16 {
			if key := uint64(k%sessions)<<48 | uint64(k/sessions+1); !tab.Put(key, uint32(k)) {
				t.Fatalf("%d sessions: number %d refused with %d entries", sessions, key, tab.Count())
			}
		}
	}
}

func TestU64AgainstMap(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	tab, model := NewU64(512), map[uint64]uint32{}
	for step := range 200_000 {
		key := r.Uint64N(2000) + 1 | r.Uint64N(3)<<48
		switch r.IntN(3) {
		case 0:
			v := r.Uint32()
			_, had := model[key]
			if ok := tab.Put(key, v); ok {
				model[key] = v
			} else if had || len(model) < 400 {
				t.Fatalf("step %d: Put(%d) refused with %d entries", step, key, len(model))
			}
		case 1:
			_, want := model[key]
			if got := tab.Delete(key); got != want {
				t.Fatalf("step %d: Delete(%d) = %v, want %v", step, key, got, want)
			}
			delete(model, key)
		default:
			want, ok := model[key]
			if got, gotOK := tab.Get(key); got != want || gotOK != ok {
				t.Fatalf("step %d: Get(%d) = %d %v, want %d %v", step, key, got, gotOK, want, ok)
			}
		}
		if tab.Count() != len(model) {
			t.Fatalf("step %d: count %d, want %d", step, tab.Count(), len(model))
		}
	}
}

func TestWindowAgainstSet(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	const size = 256
	w, used, top := NewWindow(size), map[uint64]bool{}, uint64(0)
	for step := range 100_000 {
		n := top + r.Uint64N(40)
		if back := r.Uint64N(400); back < n && r.IntN(2) == 0 {
			n -= back
		}
		if r.IntN(500) == 0 {
			n += r.Uint64N(1000)
		}
		want := Fresh
		if n <= top && top-n >= size {
			want = TooLow
		} else if used[n] {
			want = Used
		}
		if got := w.Look(n); got != want {
			t.Fatalf("step %d: Look(%d) = %d, want %d (top %d)", step, n, got, want, top)
		}
		w.Mark(n)
		if want != TooLow {
			used[n] = true
		}
		top = max(top, n)
	}
}

func TestNoAllocations(t *testing.T) {
	tab, w, n := NewU64(1024), NewWindow(1024), uint64(1)
	if a := testing.AllocsPerRun(2000, func() {
		tab.Put(n, uint32(n))
		tab.Get(n)
		tab.Delete(n)
		w.Look(n)
		w.Mark(n)
		n++
	}); a != 0 {
		t.Fatalf("%v allocations", a)
	}
}
