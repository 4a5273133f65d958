package snapshot

import (
	"errors"

	"onebeat/engine/app"
	"onebeat/mirror/archive"
	"onebeat/mirror/ring"
)

// bridge is what a Replay needs that goes ahead of its archive in the lane's ring:
// while the archive's disk is full the ring goes round, and what it overwrites
// will be missing from the archive for good. The state crosses that gap in memory.
type bridge struct {
	ahead   uint64       // position of the next record; 0: the archive's reader is not left
	from    uint64       // where it was left
	cuts    uint64       // of the ring, that ahead is true of
	joined  uint64       // where the archive went on
	crossed bool         // it lacks a part of what the state has
	gap     *archive.Gap // that the archive has at ahead; nil: it ends there
	raw     [ring.MaxRecordBytes]byte
}

// Bridged reports whether the state is ahead of what the archive holds.
func (r *Replay) Bridged() bool { return r.bridge.ahead > 0 }

// TakeCrossed reports, once, that the archive lacks records that the state has:
// older snapshots do not lead to what follows any more.
func (r *Replay) TakeCrossed() bool {
	crossed := r.bridge.crossed
	r.bridge.crossed = false
	return crossed
}

// Bridge applies at most so many records of the ring, none that ends beyond a
// position: what every member of the set holds, which no failover takes back. It
// ends where the ring no longer holds the next one; if the archive does not either,
// that is a *archive.Gap.
func (r *Replay) Bridge(g *ring.Ring, records int, to uint64) (n int, err error) {
	b := &r.bridge
	if b.ahead == 0 {
		b.ahead, b.from, b.cuts = r.reader.Position(), r.reader.Position(), g.Cuts()
	}
	if err := r.uncut(g); err != nil {
		return 0, err
	}
	if b.gap != nil && !g.Holds(b.ahead) {
		return 0, b.gap
	}
	for n < records && b.ahead < to && g.Holds(b.ahead) {
		m := copy(b.raw[:], g.Bytes(b.ahead, min(to, b.ahead+ring.MaxRecordBytes)))
		end, state := ring.Decode(b.raw[:m], b.ahead, &r.rec)
		if !g.Holds(b.ahead) || g.Cuts() != b.cuts || state != ring.Found {
			break // overtaken, or cut: the next look tells
		}
		b.ahead = end
		if r.rec.Type == app.RecordPadding {
			continue
		}
		n++
		if err := r.apply(end); err != nil {
			return n, err
		}
	}
	return n, nil
}

// uncut looks whether the ring was cut below where the state is.
func (r *Replay) uncut(g *ring.Ring) error {
	b := &r.bridge
	now := g.Cuts()
	if now == b.cuts && now%2 == 0 {
		return nil
	}
	if now%2 != 0 || g.CutSince(b.cuts, now) < b.ahead {
		return ErrCut
	}
	b.cuts = now
	return nil
}

// rejoin goes back to the archive once that holds what follows; to is up to where
// it does.
func (r *Replay) rejoin(to uint64) (bool, error) {
	b := &r.bridge
	if to <= b.ahead {
		return false, nil
	}
	reader, err := archive.OpenReader(r.src.FS, r.src.Archive)
	if err != nil {
		return false, err
	}
	err = reader.Seek(b.ahead)
	var records []byte
	if err == nil {
		records, _, err = reader.Raw(ring.MaxRecordBytes)
	}
	b.gap = nil
	if errors.As(err, &b.gap) || err == nil && len(records) == 0 {
		return false, reader.Close() // it goes on later in the log
	}
	if err == nil {
		err = reader.Seek(b.ahead)
	}
	if err != nil {
		return false, errors.Join(err, reader.Close())
	}
	for i := range reader.Segments() {
		h := &reader.Segments()[i].Header
		b.crossed = b.crossed || h.First > h.PreviousEnd && h.First > b.from && h.PreviousEnd > 0
	}
	err = r.reader.Close()
	r.reader, b.joined, b.ahead = reader, b.ahead, 0
	return true, err
}

// Spare puts the state, which is ahead of the archive, into a store of its own: no
// archive leads on from there, but the ring does, as long as it holds what follows. The
// newest record is read again in the ring to tell it from any other.
func (r *Replay) Spare(g *ring.Ring, store *Store, fill func(*Header)) (File, error) {
	h := r.at
	if !r.Bridged() || !r.any || !g.Holds(h.Last) {
		return File{}, nil // not now
	}
	var rec app.Record
	end, state := g.ReadInto(h.Last, &rec)
	h.LastHash = HashRecord(&rec)
	if err := r.uncut(g); err != nil {
		return File{}, err
	}
	if state != ring.Found || end != h.Position || !g.Holds(h.Last) {
		return File{}, nil // overtaken meanwhile
	}
	h.Digest = r.Machine.Digest()
	fill(&h)
	return store.Write(h, r.Machine.Save)
}
