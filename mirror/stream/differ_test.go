package stream

import (
	"bytes"
	"cmp"
	"math/rand/v2"
	"os"
	"testing"

	"onebeat/engine/app"
	"onebeat/mirror/archive"
	"onebeat/mirror/disk"
	"onebeat/mirror/lane"
	"onebeat/mirror/ring"
)

// fork makes another host whose log is a world's up to a position.
func (w *world) fork(position uint64) *world {
	w.t.Helper()
	f := newWorld(w.t)
	f.timeNs = w.timeNs
	c := cursor{lane: w.lane, buffer: make([]byte, ChunkBytes)}
	for c.position < position {
		n, _, err := c.raw(position)
		if err != nil || n == 0 {
			w.t.Fatal(n, err)
		}
		for b := c.buffer[:n]; len(b) > 0; {
			m := min(len(b), ringBytes/4, ringBytes-int(c.position)&(ringBytes-1))
			whole := 0
			for whole < m {
				var rec app.Record
				end, state := ring.Decode(b[whole:m], c.position+uint64(whole), &rec)
				if state != ring.Found {
					break
				}
				whole = int(end - c.position)
			}
			if err := f.ring.WriteRaw(c.position, b[:whole]); err != nil {
				w.t.Fatal(err)
			}
			f.archiveAll()
			b, c.position = b[whole:], c.position+uint64(whole)
		}
	}
	if err := c.close(); err != nil {
		w.t.Fatal(err)
	}
	f.commit(f.ring.Tail())
	return f
}

// write appends records of chance's choice.
func (w *world) write(chance *rand.Rand, count int, epoch uint32) {
	w.t.Helper()
	for i := range count {
		w.timeNs += 1 + chance.Int64N(1000)
		n := cmp.Or(w.recordBytes, 1+chance.IntN(700))
		if _, _, ok := w.ring.Append(app.RecordMessage, epoch, w.timeNs, bytes.Repeat([]byte{byte(chance.Uint32())}, n)); !ok {
			w.t.Fatal("the ring is full")
		}
		if i%500 == 499 {
			w.archiveAll()
		}
	}
	w.archiveAll()
	w.commit(w.ring.Tail())
}

// The first record that differs is found wherever it is: in the ring or only in
// archives, within an epoch that both have or at its beginning, several epochs
// before the end; and where the server's log only ends, that is said.
func TestDiffer(t *testing.T) {
	for _, c := range []struct {
		name          string
		common        int
		server, own   []uint32 // epochs of what follows, a few records each
		count         int
		behind, equal bool
		bytes         [2]int // of the server's records and of this host's; 0: by chance
	}{
		{name: "in one epoch", common: 700, server: []uint32{1}, own: []uint32{1}, count: 60},
		{name: "at the beginning", common: 0, server: []uint32{1}, own: []uint32{1}, count: 60},
		{name: "only in archives", common: 1500, server: []uint32{1, 9}, own: []uint32{1, 4}, count: 3000},
		{name: "an epoch of its own", common: 900, server: []uint32{1, 1, 9}, own: []uint32{4}, count: 20},
		{name: "several epochs", common: 40, server: []uint32{5, 6, 7}, own: []uint32{2, 3, 4}, count: 400},
		{name: "one record", common: 900, server: []uint32{1, 9}, own: []uint32{4}, count: 1},
		{name: "shorter records", common: 900, server: []uint32{9}, own: []uint32{4}, count: 1, bytes: [2]int{1, 700}},
		{name: "longer records", common: 900, server: []uint32{9}, own: []uint32{4}, count: 1, bytes: [2]int{700, 1}},
		{name: "behind", common: 900, own: []uint32{1, 2}, count: 500, behind: true},
		{name: "the same", common: 900, server: []uint32{2}, count: 50, equal: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			chance := rand.New(rand.NewPCG(seed, 1))
			w := newWorld(t)
			w.write(chance, c.common, 1)
			at := w.ring.Tail()
			own := w.fork(at)
			last := uint32(1)
			for _, epoch := range c.server {
				w.recordBytes = c.bytes[0]
				w.write(chance, c.count, epoch)
				last = epoch
			}
			for _, epoch := range c.own {
				own.recordBytes = c.bytes[1]
				own.write(chance, c.count, epoch)
			}
			w.setWord(lane.MakeWord(last, lane.Active))
			w.serve(nil)
			d, err := w.dial(2).Differ(own.lane, own.ring.Tail())
			switch {
			case err != nil:
				t.Fatal(err)
			case c.equal && d != nil:
				t.Errorf("%+v, the logs are the same", d)
			case c.equal:
			case d == nil || d.Position != at || d.Behind != c.behind || d.Epoch != last:
				t.Errorf("%+v, the logs part at %d (server's end %d, own %d)", d, at, w.ring.Tail(), own.ring.Tail())
			}
		})
	}
}

// Harm in the server's own archive is no difference: nothing is cut because of it.
func TestDifferHarm(t *testing.T) {
	chance := rand.New(rand.NewPCG(7, 7))
	w := newWorld(t)
	w.write(chance, 200, 1)
	own := w.fork(w.ring.Tail())
	w.write(chance, 3000, 1)
	own.write(chance, 3000, 2)
	w.serve(nil)
	segments, err := archive.List(disk.OS{}, w.dir)
	if err != nil || len(segments) < 5 {
		t.Fatal(len(segments), err)
	}
	b, err := os.ReadFile(segments[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/4] ^= 4
	if err := os.WriteFile(segments[0].Path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if d, err := w.dial(2).Differ(own.lane, own.ring.Tail()); err == nil {
		t.Errorf("%+v behind harm", d)
	}
	// A comparison that begins where the server has no record.
	s := search{client: w.dial(2), cursor: cursor{lane: own.lane}}
	if same, what, err := s.ask(&comparison{64, []part{{128, [16]byte{}}}}); err != nil || same != 64 || what == sameAll {
		t.Errorf("%d %d %v", same, what, err)
	}
	// A node that is SYNCING vouches for nothing.
	w.setWord(lane.MakeWord(1, lane.Syncing))
	if d, err := w.dial(2).Differ(own.lane, own.ring.Tail()); err == nil {
		t.Errorf("%+v", d)
	}
}
