package ring

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"onebeat/engine/app"
)

const testSize = MinSizeBytes

func newRing(t testing.TB, size int) (*Ring, *uint64) {
	t.Helper()
	tail := new(uint64)
	r, err := New(make([]byte, size+SlackBytes), size, tail)
	if err != nil {
		t.Fatal(err)
	}
	return r, tail
}

func mustAppend(t testing.TB, r *Ring, epoch uint32, payload []byte) (uint64, uint64) {
	t.Helper()
	position, end, ok := r.Append(app.RecordMessage, epoch, int64(r.Tail()), payload)
	if !ok {
		t.Fatalf("append of %d bytes at %d refused", len(payload), r.Tail())
	}
	return position, end
}

func TestNewRefuses(t *testing.T) {
	tail, odd := new(uint64), uint64(8)
	for _, c := range []struct {
		mem, size int
		tail      *uint64
		want      error
	}{
		{testSize + SlackBytes, testSize + 1, tail, ErrSize},
		{testSize + SlackBytes, MinSizeBytes / 2, tail, ErrSize},
		{testSize + SlackBytes - 1, testSize, tail, ErrSize},
		{testSize + SlackBytes, testSize, nil, ErrSize},
		{testSize + SlackBytes, testSize, &odd, ErrPosition},
	} {
		if _, err := New(make([]byte, c.mem), c.size, c.tail); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestAppendReadWrap(t *testing.T) {
	r, _ := newRing(t, testSize)
	rng := rand.New(rand.NewPCG(1, 2))
	read := uint64(0)
	for i := range 2000 {
		payload := make([]byte, rng.IntN(MaxPayloadBytes+1))
		for j := range payload {
			payload[j] = byte(i + j)
		}
		position, end := mustAppend(t, r, uint32(1+i/100), payload)
		if position&r.mask+end-position > r.size {
			t.Fatalf("record %d crosses the end: %d..%d", i, position, end)
		}
		rec, next, state := r.Read(read)
		if state != Found || rec.Position != position || next != end || !bytes.Equal(rec.Payload, payload) ||
			rec.Epoch != uint32(1+i/100) || rec.Type != app.RecordMessage {
			t.Fatalf("record %d: %v %+v next %d, want position %d end %d", i, state, rec, next, position, end)
		}
		for _, b := range r.Bytes(position+HeaderBytes+uint64(len(payload)), end) {
			if b != 0 {
				t.Fatalf("record %d: stale byte behind the payload", i)
			}
		}
		read = next
	}
	if _, _, state := r.Read(read); state != AtTail {
		t.Error(state)
	}
	if _, _, state := r.Read(0); state != Overwritten {
		t.Error(state)
	}
	if s, err := r.Scan(r.Oldest(), r.Tail(), nil); err != nil || s.End != r.Tail() || s.Records == 0 {
		t.Errorf("%+v %v", s, err)
	}
}

func TestAppendRefuses(t *testing.T) {
	r, _ := newRing(t, testSize)
	if _, _, ok := r.Append(app.RecordMessage, 1, 0, make([]byte, MaxPayloadBytes+1)); ok {
		t.Error("too long a payload accepted")
	}
	r.SetLimit(64)
	mustAppend(t, r, 1, make([]byte, 32))
	if _, _, ok := r.Append(app.RecordMessage, 1, 0, nil); ok || r.Tail() != 64 || r.Room() != 0 {
		t.Error("append beyond the limit")
	}
	r.SetLimit(96)
	mustAppend(t, r, 1, nil)
}

// The padding before the end counts against the limit too, and a refused
// record must not leave it behind.
func TestAppendRefusedAtEndLeavesNothing(t *testing.T) {
	r, tail := newRing(t, testSize)
	atomic.StoreUint64(tail, testSize-64)
	r.SetLimit(testSize + 32)
	if _, _, ok := r.Append(app.RecordMessage, 1, 0, make([]byte, 64)); ok || r.Tail() != testSize-64 {
		t.Fatal("appended")
	}
	r.SetLimit(NoLimit)
	position, _ := mustAppend(t, r, 1, make([]byte, 64))
	if position != testSize {
		t.Fatal(position)
	}
	var rec app.Record
	if end, state := r.read(testSize-64, &rec); state != Found || rec.Type != app.RecordPadding || end != testSize {
		t.Fatal(end, state, rec)
	}
}

func TestReadCorruption(t *testing.T) {
	for _, c := range []struct {
		name   string
		offset int
		value  byte
		want   State
	}{
		{"length zero", offLength, 0, BadLength},
		{"length beyond tail", offLength, 0xff, BadLength},
		{"length shorter", offLength, HeaderBytes + 1, BadChecksum},
		{"type", offType, 99, BadChecksum},
		{"flags", offFlags, 1, BadChecksum},
		{"epoch", offEpoch, 77, BadChecksum},
		{"crc", offCRC, 1, BadChecksum},
		{"position", offPosition, 32, BadPosition},
		{"time", offTime, 9, BadChecksum},
		{"payload", HeaderBytes, 1, BadChecksum},
		{"last payload byte", HeaderBytes + 39, 1, BadChecksum},
	} {
		r, _ := newRing(t, testSize)
		mustAppend(t, r, 1, make([]byte, 40))
		r.mem[c.offset] = c.value
		if _, next, state := r.Read(0); state != c.want || next != 0 || !state.Corrupt() {
			t.Errorf("%s: %v, want %v", c.name, state, c.want)
		}
		if err := r.Check(0, r.mem[:96]); !errors.Is(err, ErrRecord) {
			t.Errorf("%s: Check says %v", c.name, err)
		}
	}
	r, _ := newRing(t, testSize)
	mustAppend(t, r, 1, nil)
	for _, position := range []uint64{8, 64, 1 << 40} {
		if _, _, state := r.Read(position); state != BadPosition {
			t.Errorf("%d: %v", position, state)
		}
	}
}

func TestBatchWholeRecords(t *testing.T) {
	r, tail := newRing(t, testSize)
	atomic.StoreUint64(tail, testSize-256)
	for range 6 {
		mustAppend(t, r, 1, make([]byte, 64)) // 96 each: 2 before the end, 64 padding
	}
	from := uint64(testSize - 256)
	var got []int
	for from < r.Tail() {
		view, next := r.Batch(from, 200)
		if next-from != uint64(len(view)) || len(view) == 0 {
			t.Fatal(from, next, len(view))
		}
		if err := r.Check(from, view); err != nil {
			t.Fatal(err)
		}
		got = append(got, len(view))
		from = next
	}
	if want := []int{192, 64, 192, 192}; len(got) != len(want) || got[0] != 192 || got[1] != 64 || got[2] != 192 {
		t.Error(got, want)
	}
	if view, next := r.Batch(testSize, 64); len(view) != 0 || next != testSize {
		t.Error("a record was cut")
	}
	if view, _ := r.Batch(testSize, 1<<20); len(view) != 4*96 {
		t.Error(len(view))
	}
}

func TestWriteRaw(t *testing.T) {
	a, _ := newRing(t, testSize)
	b, _ := newRing(t, testSize)
	from := uint64(0)
	for i := range 300 {
		mustAppend(t, a, uint32(1+i/50), make([]byte, i%200))
		for from < a.Tail() {
			view, next := a.Batch(from, 512)
			if err := b.WriteRaw(from, view); err != nil {
				t.Fatal(err)
			}
			from = next
		}
	}
	if !bytes.Equal(a.mem[:a.size], b.mem[:b.size]) || a.Tail() != b.Tail() {
		t.Error("copies differ")
	}
	at := a.Tail()
	_, end := mustAppend(t, a, 9, make([]byte, 16))
	good := bytes.Clone(a.Bytes(at, end))
	tooOld := bytes.Clone(good)
	binary.LittleEndian.PutUint32(tooOld[offEpoch:], 1)
	binary.LittleEndian.PutUint32(tooOld[offCRC:], checksum(tooOld[:48]))
	for _, c := range []struct {
		name     string
		position uint64
		records  []byte
		want     error
	}{
		{"not at the tail", at + 32, good, ErrRecord}, // its header says another position
		{"not aligned", at + 8, good, ErrPosition},
		{"cut short", at, good[:32], ErrRecord},
		{"trailing bytes", at, append(bytes.Clone(good), make([]byte, 32)...), ErrRecord},
		{"older epoch", at, tooOld, ErrRecord},
		{"a repeat", 0, nil, ErrPosition},
		{"crosses the end", at, make([]byte, testSize), ErrPosition},
	} {
		if err := b.WriteRaw(c.position, c.records); !errors.Is(err, c.want) || b.Tail() != at {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	b.SetLimit(at)
	if err := b.WriteRaw(at, good); !errors.Is(err, ErrFull) {
		t.Error(err)
	}
	b.SetLimit(NoLimit)
	if err := b.WriteRaw(at, good); err != nil {
		t.Error(err)
	}
}

func TestEpochsCutAndReset(t *testing.T) {
	r, _ := newRing(t, testSize)
	var start [6]uint64
	for epoch := uint32(1); epoch <= 5; epoch++ {
		start[epoch], _ = mustAppend(t, r, epoch, make([]byte, 10))
		mustAppend(t, r, epoch, make([]byte, 10))
	}
	for epoch := uint32(1); epoch <= 5; epoch++ {
		if p, ok := r.EpochStart(epoch); !ok || p != start[epoch] {
			t.Error(epoch, p, ok)
		}
	}
	if p, found, known := r.FirstAfter(3); !found || !known || p != start[4] {
		t.Error(p, found, known)
	}
	if p, found, known := r.FirstAfter(5); found || !known || p != r.Tail() {
		t.Error(p, found, known)
	}
	if r.LastEpoch() != 5 || r.Oldest() != 0 {
		t.Error(r.LastEpoch(), r.Oldest())
	}
	if err := r.Cut(start[4] + 32); err == nil {
		t.Error("cut inside a record")
	}
	if err := r.Cut(start[4]); err != nil || r.Tail() != start[4] || r.LastEpoch() != 3 {
		t.Error(err, r.Tail(), r.LastEpoch())
	}
	r.Reset(1<<20, 0)
	if _, _, state := r.Read(1 << 20); state != AtTail || r.Oldest() != 1<<20 || r.LastEpoch() != 0 {
		t.Error(state)
	}
	mustAppend(t, r, 2, nil)
	if r.Oldest() != 1<<20 {
		t.Error(r.Oldest())
	}
}

// The index says what a scan of the ring says, whoever wrote the records.
func TestIndexAgainstScan(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 9))
		a, _ := newRing(t, testSize)
		b, _ := newRing(t, testSize)
		epoch, sent := uint32(1), uint64(0)
		first := map[uint32]uint64{}
		for range 600 {
			if rng.IntN(30) == 0 {
				epoch += 1 + uint32(rng.IntN(2))
			}
			at, _ := mustAppend(t, a, epoch, make([]byte, rng.IntN(100)))
			if _, ok := first[epoch]; !ok {
				first[epoch] = at
			}
			for sent < a.Tail() {
				view, next := a.Batch(sent, 1400)
				if err := b.CopyIn(sent, view); err != nil {
					t.Fatal(err)
				}
				sent = next
			}
			if rng.IntN(4) != 0 {
				continue
			}
			for _, r := range []*Ring{a, b} {
				last, _ := r.Last()
				if got := r.LastEpoch(); got != last.Epoch || got != epoch {
					t.Fatalf("seed %d: last epoch %d, scan says %d", seed, got, last.Epoch)
				}
				ask := uint32(rng.IntN(int(epoch) + 1))
				position, found, known := r.FirstAfter(ask)
				if found != (ask < epoch) {
					t.Fatalf("seed %d: after %d: found %t in epoch %d", seed, ask, found, epoch)
				}
				if !found || !known {
					continue
				}
				for e := ask + 1; e <= epoch; e++ {
					if p, ok := first[e]; ok {
						// The padding before it may already be of the new epoch.
						if position > p || p-position > MaxRecordBytes {
							t.Fatalf("seed %d: after %d at %d, want %d", seed, ask, position, p)
						}
						break
					}
				}
			}
		}
	}
}

// A reader with a limit behind it never sees a record change under it.
func TestConcurrentReader(t *testing.T) {
	r, _ := newRing(t, testSize)
	var applied atomic.Uint64
	const count = 20000
	done := make(chan error, 1)
	go func() {
		position, n := uint64(0), uint64(0)
		for n < count {
			rec, next, state := r.Read(position)
			if state == AtTail {
				continue
			}
			if state != Found || binary.LittleEndian.Uint64(rec.Payload) != n {
				done <- errors.New(state.String())
				return
			}
			n++
			position = next
			applied.Store(position)
		}
		done <- nil
	}()
	var payload [64]byte
	for n := uint64(0); n < count; {
		r.SetLimit(applied.Load() + uint64(r.SizeBytes()))
		binary.LittleEndian.PutUint64(payload[:], n)
		if _, _, ok := r.Append(app.RecordMessage, 1, int64(n), payload[:8+n%57]); ok {
			n++
		}
		select {
		case err := <-done:
			t.Fatal(err)
		default:
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// Random operations against a list of what should be there.
func TestAgainstModel(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		r, _ := newRing(t, testSize)
		type entry struct {
			position uint64
			payload  []byte
		}
		var model []entry
		applied, at := uint64(0), 0
		for range 400 {
			r.SetLimit(applied + r.size)
			payload := make([]byte, rng.IntN(300))
			for i := range payload {
				payload[i] = byte(rng.Uint32())
			}
			position, end, ok := r.Append(app.RecordVenue, 1, 0, payload)
			if ok {
				model = append(model, entry{position, payload})
			} else if r.Room() > 2*MaxRecordBytes {
				t.Fatalf("seed %d: refused with %d free", seed, r.Room())
			}
			if ok && end != r.Tail() {
				t.Fatalf("seed %d: end %d tail %d", seed, end, r.Tail())
			}
			for n := rng.IntN(3); n > 0 && at < len(model); n-- {
				rec, next, state := r.Read(applied)
				if state != Found || rec.Position != model[at].position || !bytes.Equal(rec.Payload, model[at].payload) {
					t.Fatalf("seed %d record %d: %v %+v", seed, at, state, rec)
				}
				applied = next
				at++
			}
		}
	}
}

func TestHotPathAllocatesNothing(t *testing.T) {
	r, _ := newRing(t, 1<<16)
	payload := make([]byte, 64)
	position := uint64(0)
	if n := testing.AllocsPerRun(1000, func() {
		at, _, _ := r.Append(app.RecordMessage, 1, 0, payload)
		r.Batch(at, 1400)
		_, position, _ = r.Read(position)
	}); n != 0 {
		t.Error(n)
	}
}

func BenchmarkAppend64(b *testing.B) {
	r, _ := newRing(b, 1<<20)
	payload := make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		r.Append(app.RecordMessage, 1, 0, payload)
	}
}

func BenchmarkRead64(b *testing.B) {
	r, _ := newRing(b, 1<<20)
	mustAppend(b, r, 1, make([]byte, 64))
	b.ReportAllocs()
	for b.Loop() {
		r.Read(0)
	}
}

func BenchmarkBatch(b *testing.B) {
	r, _ := newRing(b, 1<<20)
	for range 100 {
		mustAppend(b, r, 1, make([]byte, 64))
	}
	b.ReportAllocs()
	for b.Loop() {
		r.Batch(0, 1400)
	}
}
