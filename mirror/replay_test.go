package mirror

import (
	"testing"

	"onebeat/mirror/wire"
	"onebeat/xdp/frame"
)

// HELLOs that a node's former rings sent, recorded on the cable, bring no ring
// back: keys, counters and roles stay.
func TestHelloOfAFormerRingChangesNothing(t *testing.T) {
	w := newSimWorld(1, simConfig{ride: true})
	var recorded [2][][]byte
	w.tap = func(to int, b []byte) {
		if h := (wire.Header{}); h.Parse(b[frame.HeaderBytes:]) == wire.OK && h.Type == wire.HelloFrame {
			recorded[to] = append(recorded[to], b)
		}
	}
	settle := func() {
		t.Helper()
		for range 4000 {
			if w.run(false); w.settled() {
				break
			}
		}
		for range 200 {
			w.run(false)
		}
		if w.failure != "" || !w.settled() {
			t.Fatal(w.describe())
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
	w.tap = nil
	for to, frames := range recorded {
		h := w.hosts[to]
		known, counters := h.table.Config.PeerIncarnation, h.table.RxCounter
		if len(frames) < 3 {
			t.Fatalf("%d HELLOs to host %d", len(frames), to)
		}
		for _, b := range frames {
			w.send(to, append([]byte(nil), b...))
			w.deliver()
			h.cycle()
			if h.table.Config.PeerIncarnation != known || h.table.RxCounter[0] < counters[0] {
				t.Fatalf("host %d took up with a former ring %x\n%s", to, h.table.Config.PeerIncarnation, w.describe())
			}
		}
		settle()
	}
	if words != [2]uint64{w.hosts[0].word, w.hosts[1].word} {
		t.Fatal(w.describe())
	}
}
