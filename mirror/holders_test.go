package mirror

import (
	"slices"
	"testing"
)

// A copy keeps its place while it is named: at no time does one count twice.
func TestCopiesKeepTheirPlaces(t *testing.T) {
	var c Copies
	var s seen
	positions := func() []uint64 {
		c.load(&s)
		var list []uint64
		for _, p := range s.received {
			if p != 0 {
				list = append(list, p)
			}
		}
		return list
	}
	c.Store([]Copy{{Name: "a", Received: 32, Durable: 1}, {Name: "b", Received: 64}, {Name: "c", Received: 96}})
	c.Store([]Copy{{Name: "c", Received: 128}, {Name: "a", Received: 160}})
	if got := positions(); !slices.Equal(got, []uint64{160, 128}) {
		t.Error(got)
	}
	if s.durable[0] != 0 {
		t.Error("what it had on its disk is gone with its word")
	}
	c.Store([]Copy{{Name: "d", Received: 192}, {Name: "a", Received: 160}, {Name: "c", Received: 128}})
	if s.received[1] != 0 || !slices.Equal(positions(), []uint64{160, 192, 128}) {
		t.Error(s.received)
	}
	c.Store(nil)
	if got := positions(); len(got) != 0 {
		t.Error(got)
	}
	var many []Copy
	for i := range 20 {
		many = append(many, Copy{Name: string(rune('a' + i)), Received: 32})
	}
	c.Store(many)
	if got := positions(); len(got) != len(s.received) {
		t.Errorf("%d copies count", len(got))
	}
}
