package ring

import (
	"testing"

	"onebeat/engine/app"
)

// Any memory and any tail: reading never goes out of bounds, never ends in a
// loop, and what it calls a record lies inside the log.
func FuzzRead(f *testing.F) {
	r, _ := newRing(f, testSize)
	mustAppend(f, r, 1, []byte("one order"))
	mustAppend(f, r, 2, make([]byte, 200))
	f.Add(r.mem[:r.Tail()], r.Tail(), uint64(0))
	f.Add(r.mem[:40], uint64(64), uint64(0))
	f.Add([]byte{}, uint64(1)<<63, uint64(1)<<63-32)
	f.Fuzz(func(t *testing.T, mem []byte, tail, position uint64) {
		tail &^= AlignBytes - 1
		full := make([]byte, testSize+SlackBytes)
		copy(full[:testSize], mem)
		r, err := New(full, testSize, &tail)
		if err != nil {
			t.Fatal(err)
		}
		for range testSize / AlignBytes {
			rec, next, state := r.Read(position)
			if state != Found {
				break
			}
			if next <= position || next > tail || len(rec.Payload) > MaxPayloadBytes {
				t.Fatalf("%+v next %d tail %d", rec, next, tail)
			}
			position = next
		}
		r.Batch(position&^31, 1400)
		r.Last()
	})
}

// What WriteRaw takes can be read back, and what it refuses changes nothing.
func FuzzWriteRaw(f *testing.F) {
	r, _ := newRing(f, testSize)
	mustAppend(f, r, 1, []byte("one order"))
	mustAppend(f, r, 2, make([]byte, 200))
	f.Add(r.mem[:r.Tail()], uint64(0))
	f.Add(r.mem[:64], uint64(0))
	f.Add(r.mem[:r.Tail()], uint64(32))
	f.Fuzz(func(t *testing.T, records []byte, position uint64) {
		r, _ := newRing(t, testSize)
		if err := r.WriteRaw(position, records); err != nil {
			if r.Tail() != 0 {
				t.Fatal("refused, but written")
			}
			return
		}
		s, err := r.Scan(0, r.Tail(), func(rec *app.Record) bool { return len(rec.Payload) <= MaxPayloadBytes })
		if position == 0 && (r.Tail() != uint64(len(records)) || s.End != r.Tail()) {
			t.Fatalf("%+v %v tail %d", s, err, r.Tail())
		}
	})
}
