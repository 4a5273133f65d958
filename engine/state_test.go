package engine

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"onebeat/engine/app"
	"onebeat/engine/book"
	"onebeat/engine/fixp"
	"onebeat/engine/gateway"
)

// saved returns a machine's state.
func saved(t testing.TB, m app.Machine) []byte {
	t.Helper()
	var b bytes.Buffer
	w := app.NewStateWriter(&b)
	m.Save(w)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if w.Count() != uint64(b.Len()) {
		t.Fatalf("%d bytes written, %d counted", b.Len(), w.Count())
	}
	return b.Bytes()
}

// reload moves the state of one machine into another by way of its bytes.
func reload(t testing.TB, from, to app.Machine) {
	t.Helper()
	state := saved(t, from)
	r := app.NewStateReader(bytes.NewReader(state))
	if err := to.Load(r); err != nil {
		t.Fatal(err)
	}
	if r.Count() != uint64(len(state)) || to.Digest() != from.Digest() {
		t.Fatalf("%d of %d bytes read; digest %x, saved with %x", r.Count(), len(state), to.Digest(), from.Digest())
	}
	if !bytes.Equal(saved(t, to), state) {
		t.Fatal("what was loaded is saved otherwise")
	}
}

// outputs empties an outbox.
func outputs(out *app.Outbox) []byte {
	out.Seal()
	var b []byte
	for n := out.Head(); n < out.Tail(); n++ {
		s := out.At(n)
		b = append(b, s.Frame[:s.LengthBytes]...)
	}
	out.Release(out.Tail())
	return b
}

// goOnAlike promotes two replicas and gives both the rest of a log: what they say,
// under which numbers, and what time brings about must be the same.
func goOnAlike(t *testing.T, log []app.Record, from int, a, b *replica) {
	t.Helper()
	pair := [2]*replica{a, b}
	for _, r := range pair {
		r.out.Muted = false
		r.out.Reset(7)
		nowNs := int64(1_000_000_000)
		if from > 0 {
			nowNs = log[from-1].TimeNs
		}
		r.m.Promote(nowNs, r.out)
	}
	for i := from; i < len(log); i++ {
		var said [2][]byte
		for k, r := range pair {
			r.m.Apply(&log[i], r.out)
			v, d := r.m.Poll(log[i].TimeNs, r.out)
			said[k] = append(outputs(r.out), fmt.Sprint(v, d.Type, d.Payload, r.out.Tail(), r.m.Digest())...)
		}
		if !bytes.Equal(said[0], said[1]) {
			t.Fatalf("record %d, %d behind the snapshot: never saved\n%q\nloaded\n%q", i, i-from, said[0], said[1])
		}
	}
	if a.m.Digest() != b.m.Digest() || !bytes.Equal(saved(t, a.m), saved(t, b.m)) {
		t.Fatal("the states differ at the end")
	}
}

// TestSavedStateGoesOnAlike: gateway and book, saved at random places of random
// worlds, do with every later input what a machine does that was never saved.
func TestSavedStateGoesOnAlike(t *testing.T) {
	seeds := 6
	if testing.Short() {
		seeds = 2
	}
	for seed := range seeds {
		w := newWorld(t, uint64(100+seed), 2)
		for range 1500 {
			w.step(true)
		}
		r := rand.New(rand.NewPCG(uint64(seed), 7))
		for range 6 {
			for name, at := range map[string]struct {
				l     *simLane
				build func() *replica
			}{"gateway": {w.lane, w.lane.build}, "book": {w.venues[0], newVenueReplica}} {
				from := r.IntN(len(at.l.log) + 1)
				never, origin, loaded := at.build(), at.build(), at.build()
				for _, x := range []*replica{never, origin, loaded} {
					x.out.Muted = true
				}
				at.l.catchUp(never, from)
				at.l.catchUp(origin, from)
				reload(t, origin.m, loaded.m)
				t.Run(fmt.Sprintf("seed %d %s at %d of %d", seed, name, from, len(at.l.log)), func(t *testing.T) {
					goOnAlike(t, at.l.log, from, never, loaded)
				})
			}
		}
	}
}

// newVenueReplica is the world's first venue once more.
func newVenueReplica() *replica {
	b := must(book.New(book.Config{Symbols: []uint32{1}, OrdersMax: 4096, FinishedRetain: 512, LevelsMax: 64, FlowsMax: 8, ClOrdIDWindow: 4096}))
	m := must(NewMachine(MachineConfig{Port: simVenuePort, RetainMessages: 1024, App: b,
		Sessions: []fixp.SessionConfig{{ID: sessionID(99), Key: fixp.NewKey("venue")}}}))
	return &replica{m: m, out: app.NewOutbox(venueEndpoint, 1)}
}

// smallMachine has tables that are soon full.
func smallMachine(withBook bool) *Machine {
	cfg := MachineConfig{Port: simClientPort, RetainMessages: 64,
		Sessions: []fixp.SessionConfig{{ID: sessionID(0), Key: fixp.NewKey("key0")}, {ID: sessionID(1), Key: fixp.NewKey("key1")}}}
	if withBook {
		cfg.App = must(book.New(book.Config{Symbols: []uint32{1, 2}, OrdersMax: 64, FinishedRetain: 8, LevelsMax: 4, FlowsMax: 2, ClOrdIDWindow: 64}))
		return must(NewMachine(cfg))
	}
	cfg.App = must(gateway.New(gateway.Config{Sessions: 2, OrdersMax: 64, FinishedRetain: 8, PositionsMax: 4, ClOrdIDWindow: 64,
		Symbols: []gateway.Symbol{{ID: 1, ReferencePriceTicks: 100}, {ID: 2, ReferencePriceTicks: 100, Venue: 1}},
		Limits:  limits(1000, 1<<40, 50, 3000)}))
	for i := range simVenues {
		v := simVenueConfig(i)
		v.Window = 16
		cfg.Venues = append(cfg.Venues, v)
	}
	return must(NewMachine(cfg))
}

// worldLogs are logs to fill small machines with.
func worldLogs(t testing.TB) (lane, venue []app.Record) {
	w := newWorld(t, 3, 2)
	for range 1200 {
		w.step(true)
	}
	return w.lane.log, w.venues[0].log
}

func applyAll(m *Machine, log []app.Record) {
	out := app.NewOutbox(laneEndpoint, 1)
	out.Muted = true
	for i := range log {
		m.Apply(&log[i], out)
	}
}

// TestStateIsRefused: of another configuration, cut short anywhere, or with a
// section of another kind; each refusal says where.
func TestStateIsRefused(t *testing.T) {
	lane, _ := worldLogs(t)
	from := smallMachine(false)
	applyAll(from, lane)
	state := saved(t, from)
	for name, to := range map[string]*Machine{"book": smallMachine(true), "other sizes": newReplica(2).m, "other sessions": newReplica(1).m} {
		if err := to.Load(app.NewStateReader(bytes.NewReader(state))); err == nil {
			t.Errorf("%s: taken", name)
		} else {
			t.Log(err)
		}
	}
	for n := 0; n < len(state); n += 1 + n/64 {
		if err := smallMachine(false).Load(app.NewStateReader(bytes.NewReader(state[:n]))); err == nil {
			t.Fatalf("cut after %d of %d bytes: taken", n, len(state))
		}
	}
}

// TestVisitorShowsWhatIsSaved: rows and names, in order, and none for a machine
// without orders.
func TestVisitorShowsWhatIsSaved(t *testing.T) {
	lane, _ := worldLogs(t)
	m := smallMachine(false)
	applyAll(m, lane)
	sections := map[string]int{}
	m.Save(app.NewStateVisitor(func(f *app.Field) {
		sections[f.Section]++
		if f.Name == "" || f.Text() == "" {
			t.Errorf("%+v", *f)
		}
	}))
	for _, name := range []string{"machine", "sessions", "answers", "kept messages", "venue session", "gateway", "symbols", "orders", "positions", "used ClOrdIDs"} {
		if sections[name] == 0 {
			t.Errorf("nothing of %q: %v", name, sections)
		}
	}
}

// FuzzState loads altered states: a refusal or a machine that goes on, never a
// panic.
func FuzzState(f *testing.F) {
	lane, venue := worldLogs(f)
	for i, log := range [][]app.Record{lane, venue} {
		for _, n := range []int{0, 20, len(log)} {
			m := smallMachine(i == 1)
			applyAll(m, log[:n])
			f.Add(saved(f, m), uint32(0), byte(0), i == 1)
		}
	}
	f.Fuzz(func(t *testing.T, state []byte, at uint32, flip byte, withBook bool) {
		if len(state) > 0 {
			state = bytes.Clone(state)
			state[int(at)%len(state)] ^= flip
		}
		m := smallMachine(withBook)
		if m.Load(app.NewStateReader(bytes.NewReader(state))) != nil {
			return
		}
		log := lane
		if withBook {
			log = venue
		}
		m.Promote(1, app.NewOutbox(laneEndpoint, 1))
		applyAll(m, log[:min(len(log), 200)])
		saved(t, m)
	})
}
