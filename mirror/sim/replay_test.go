package sim

import (
	"math/rand/v2"
	"testing"

	"onebeat/mirror/wire"
	"onebeat/xdp/frame"
)

// quiet is a world in which nothing goes wrong by itself.
func quiet(t *testing.T) (w *World, settle func()) {
	w = &World{cfg: Config{Mode: Modes[3], Gentle: true, RingBytes: ringBytes}, dice: rand.New(rand.NewPCG(1, 7)), memory: NewMemory(ringBytes), telling: true}
	w.begin()
	return w, func() {
		t.Helper()
		if w.live(20 * ms); !w.rests(restNs) {
			t.Fatal(w.result.Failure, w.describe())
		}
	}
}

// HELLOs that a node's former rings sent, recorded on the cable, bring no ring
// back: keys, counters and roles stay.
func TestHelloOfAFormerRingChangesNothing(t *testing.T) {
	w, settle := quiet(t)
	var recorded [2][][]byte
	w.net.frame = func(to int, b []byte) {
		if h := (wire.Header{}); h.Parse(b[frame.HeaderBytes:]) == wire.OK && h.Type == wire.HelloFrame {
			recorded[to] = append(recorded[to], append([]byte(nil), b...))
		}
	}
	settle()
	for range 2 {
		h := w.hosts[1]
		h.p = nil
		h.boot()
		h.start()
		settle()
	}
	words := [2]uint64{w.hosts[0].word, w.hosts[1].word}
	w.net.frame = nil
	for to, frames := range recorded {
		h := w.hosts[to]
		known, counters := h.table.Config.PeerIncarnation, h.table.RxCounter
		if len(frames) < 3 {
			t.Fatalf("%d HELLOs to host %d", len(frames), to)
		}
		for _, b := range frames {
			w.net.send(w, to, b)
			w.live(1 * ms)
			if h.table.Config.PeerIncarnation != known || h.table.RxCounter[0] < counters[0] {
				t.Fatalf("host %d took up with a former ring %x\n%v", to, h.table.Config.PeerIncarnation, w.describe())
			}
		}
		settle()
	}
	if words != [2]uint64{w.hosts[0].word, w.hosts[1].word} {
		t.Fatal(w.describe())
	}
}
