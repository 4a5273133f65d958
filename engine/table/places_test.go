package table

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestPlacesAgainstModel: who gets which place, with the finished ones as a list.
func TestPlacesAgainstModel(t *testing.T) {
	const places = 13
	for retain := 1; retain <= places; retain++ {
		r := rand.New(rand.NewPCG(uint64(retain), 0))
		p := NewPlaces(places, retain)
		var open, finished []uint32
		used := 0
		for step := range 5000 {
			if len(open) > 0 && r.IntN(2) == 0 {
				k := r.IntN(len(open))
				p.Finish(open[k])
				finished = append(finished, open[k])
				open = slices.Delete(open, k, k+1)
				continue
			}
			want, forgets := None, false
			switch {
			case len(finished) > retain || used == places && len(finished) > 0:
				want, forgets, finished = finished[0], true, finished[1:]
			case used < places:
				want = uint32(used)
				used++
			}
			ahead := p
			ahead.finished = slices.Clone(p.finished)
			for k := range places + 1 {
				at := p.Ahead(k)
				if i, _ := ahead.Take(); i != at {
					t.Fatalf("retain %d step %d: place %d after %d others, want %d", retain, step, at, k, i)
				}
			}
			i, forget := p.Take()
			if i != want || forget != forgets {
				t.Fatalf("retain %d step %d: place %d, forget %v; want %d, %v", retain, step, i, forget, want, forgets)
			}
			if i != None {
				open = append(open, i)
			}
		}
	}
}

func TestPlacesDoNotAllocate(t *testing.T) {
	p := NewPlaces(4, 1)
	if n := testing.AllocsPerRun(100, func() { i, _ := p.Take(); p.Finish(i) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}
