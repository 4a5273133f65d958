package mark

import "testing"

// Without the tag a mark costs nothing and says nothing; with it the places are
// in the order they were passed.
func TestMarks(t *testing.T) {
	for s := range Stages {
		if s.String() == "" {
			t.Errorf("place %d has no name", int(s))
		}
		At(s)
	}
	ticks := Read()
	for s := range Stages {
		if !On {
			if ticks[s] != 0 {
				t.Errorf("%v: a mark in a program without", s)
			}
			continue
		}
		if ticks[s] == 0 || s > 0 && ticks[s] < ticks[s-1] {
			t.Errorf("%v: %d behind %d", s, ticks[s], ticks[max(s-1, 0)])
		}
	}
	if Read() != [Stages]uint64{} {
		t.Error("a mark was read twice")
	}
}

func BenchmarkAt(b *testing.B) {
	for b.Loop() {
		At(Received)
	}
}
