package sim

import (
	"math/rand/v2"
	"testing"

	"onebeat/mirror"
	"onebeat/mirror/lane"
	"onebeat/mirror/wire"
	"onebeat/xdp/frame"
)

// quiet is a world in which nothing goes wrong by itself.
func quiet(t *testing.T, mode Mode) (w *World, settle func()) {
	w = &World{cfg: Config{Mode: mode, Gentle: true, RingBytes: ringBytes}, dice: rand.New(rand.NewPCG(1, 7)), memory: NewMemory(ringBytes), telling: true}
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
	w, settle := quiet(t, Modes[3])
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

// HELLOs of a time when the writer was parked, played to a standby whose process has
// just started, do not make it claim: without ACKs both would let outputs go.
func TestHelloOfBeforeAStartChangesNothing(t *testing.T) {
	w, settle := quiet(t, leaseModes[0])
	settle()
	var recorded [][]byte
	for range 2 { // the lane goes to the other and back
		writer := w.serving()
		w.net.frame = func(to int, b []byte) {
			if h := (wire.Header{}); to != writer.i && h.Parse(b[frame.HeaderBytes:]) == wire.OK && h.Type == wire.HelloFrame {
				recorded = append(recorded, append([]byte(nil), b...))
			}
		}
		writer.p.r.Commands.Put(mirror.CommandHandover)
		w.live(2 * heartbeatNs)
		w.net.frame = nil
		settle()
		if w.serving() == writer {
			t.Fatal("no handover", w.describe())
		}
	}
	writer := w.serving()
	standby := w.hosts[1-writer.i]
	word := writer.word
	w.net.cut[writer.i] = true // it is not asked
	standby.die()
	w.live(100 * us)
	standby.start()
	for range 4 {
		for _, b := range recorded {
			w.plan(event{atNs: w.nowNs + us, kind: evFrame, host: standby.i, frame: w.buffer(b)})
			w.live(20 * us)
		}
		w.live(300 * us)
	}
	if s := lane.Load(&standby.word).State(); len(recorded) < 3 || s != lane.Syncing || w.result.Failure != "" {
		t.Fatalf("%d HELLOs, %v %s\n%v", len(recorded), s, w.result.Failure, w.describe())
	}
	w.net.cut[writer.i] = false
	settle()
	if w.serving() != writer || lane.Load(&writer.word).Epoch() < lane.Word(word).Epoch() {
		t.Fatal(w.describe())
	}
}
