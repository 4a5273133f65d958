package reader

import (
	"errors"
	"testing"

	"onebeat/engine/app"
	"onebeat/mirror/archive"
	"onebeat/mirror/lane"
)

// rebase makes the ring go on behind a state from elsewhere, as another ring.
func (b *bed) rebase(incarnation, position uint64) {
	b.t.Helper()
	b.mem.Table.Config.Incarnation = incarnation
	b.ring.Reset(position, b.epoch)
	b.mem.Table.CutCommit(position)
}

// refill brings records that a source still holds to the ring, as a stream does.
func (b *bed) refill(from *bed, position uint64) {
	b.t.Helper()
	for position < from.ring.Tail() {
		view, next := from.ring.Batch(position, 4096)
		if len(view) == 0 {
			b.t.Fatalf("nothing at %d", position)
		}
		if err := b.ring.WriteRaw(position, view); err != nil {
			b.t.Fatal(err)
		}
		position = next
	}
}

// The ring is begun anew behind a peer's snapshot while a reader is before that: it
// learns it, and goes on in the archive where that has the log, else behind what
// nobody has.
func TestRingBegunAnew(t *testing.T) {
	for name, c := range map[string]struct{ archived, late bool }{
		"archived": {archived: true}, "nowhere": {}, "mapped afterwards": {archived: true, late: true}, "mapped afterwards, nowhere": {late: true},
	} {
		t.Run(name, func(t *testing.T) {
			peer, b := newBed(t, false), newBed(t, true)
			b.append(100)
			b.archive()
			r := b.reader(false)
			b.read(r, 0, 100)
			mark := r.Mark()
			peer.append(400)
			base := peer.ring.Tail()
			b.refill(peer, b.ring.Tail())
			if c.archived {
				b.archive()
			} else {
				b.ring.Cut(r.Position())
			}
			b.rebase(8, base)
			b.epoch = 2
			peer.epoch = 2
			peer.append(50)
			b.refill(peer, base)
			b.archive()
			if c.late {
				r = b.reader(false)
				if err := r.Resume(mark); err != nil {
					t.Fatal(err)
				}
			}
			if c.archived {
				b.read(r, 100, 450)
				return
			}
			var rec app.Record
			_, err := r.Next(&rec)
			var gap *archive.Gap
			if !errors.Is(err, ErrLapped) || !errors.As(err, &gap) || gap.From != mark.Position || gap.To != base {
				t.Fatalf("%v, want a gap from %d to %d", err, mark.Position, base)
			}
			if err := r.Seek(gap.To); err != nil {
				t.Fatal(err)
			}
			b.read(r, 400, 450)
		})
	}
}

// Behind an older state than what was read: nothing was taken back, and nothing is
// returned twice.
func TestRingBegunAnewBefore(t *testing.T) {
	peer, b := newBed(t, false), newBed(t, true)
	peer.append(100)
	base := peer.ring.Tail()
	peer.append(100)
	b.refill(peer, 0)
	b.archive()
	r := b.reader(false)
	b.read(r, 0, 200)
	b.rebase(8, base)
	b.mem.Table.SetCommit(lane.CommitTail)
	b.read(r, 200, 200)
	b.refill(peer, base)
	b.read(r, 200, 200)
	peer.append(30)
	b.refill(peer, b.ring.Tail())
	b.archive()
	b.read(r, 200, 230)
}
