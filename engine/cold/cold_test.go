package cold

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"testing"
)

func TestRingCarriesEverythingInOrder(t *testing.T) {
	r := NewRing(4096)
	const entries = 50_000
	go func() {
		rng := rand.New(rand.NewPCG(1, 2))
		for i := 0; i < entries; {
			n := 4 + rng.IntN(600)
			b := r.Begin(n)
			if b == nil {
				r.Publish()
				runtime.Gosched()
				continue
			}
			for k := range b {
				b[k] = byte(i)
			}
			b[0], b[1] = byte(i), byte(i>>8)
			r.End(n)
			if rng.IntN(3) == 0 {
				r.Publish()
			}
			i++
		}
		r.Publish()
	}()
	for i := 0; i < entries; {
		b := r.Next()
		if b == nil {
			runtime.Gosched()
			continue
		}
		if b[0] != byte(i) || b[1] != byte(i>>8) || !bytes.Equal(b[2:], bytes.Repeat([]byte{byte(i)}, len(b)-2)) {
			t.Fatalf("entry %d: %x", i, b)
		}
		r.Done()
		i++
	}
}

func TestNothingIsSeenBeforeItsRelease(t *testing.T) {
	woken := 0
	p := NewPort(func() {}, func() { woken++ })
	p.Start()
	for i := range 3 {
		p.RecordEnd = uint64(100 * (i + 1))
		p.Emit(&Entry{Kind: 1, SeqNo: uint64(i), Payload: []byte("message")})
	}
	if p.Take() != nil {
		t.Fatal("seen before its release")
	}
	if !p.ColdSleeps() {
		t.Fatal("what may not be seen keeps the cold side awake")
	}
	if n, last := p.Release(200); n != 2 || last != 200 || woken != 1 {
		t.Fatalf("%d released up to %d, woken %d", n, last, woken)
	}
	for i := range 2 {
		if e := p.Take(); e == nil || e.SeqNo != uint64(i) || string(e.Payload) != "message" {
			t.Fatalf("%d: %+v", i, e)
		}
		p.Taken()
	}
	if p.Take() != nil || !p.Pending() {
		t.Fatal("the third one is not held back")
	}
	p.Stop()
	p.Start()
	if p.Pending() || p.Take() != nil {
		t.Fatal("what was not released survived the term")
	}
}

func TestDraftsOfAnEarlierTermAreStale(t *testing.T) {
	p := NewPort(func() {}, func() {})
	p.Start()
	old := p.Serving()
	p.Submit(Draft, old, []byte("a"), []byte("b"))
	p.Flush()
	p.Stop()
	p.Start()
	p.Submit(Draft, p.Serving(), []byte("c"))
	p.Flush()
	kind, payload := p.Next()
	if kind != Draft || string(payload) != "c" || p.Stale != 1 {
		t.Fatalf("%d %q, %d stale", kind, payload, p.Stale)
	}
	p.Done()
	if kind, _ := p.Next(); kind != 0 {
		t.Fatal("more")
	}
}

func TestPortDoesNotAllocate(t *testing.T) {
	p := NewPort(func() {}, func() {})
	p.Start()
	e := Entry{Kind: 1, Payload: make([]byte, 200)}
	draft := make([]byte, 100)
	if n := testing.AllocsPerRun(1000, func() {
		p.Submit(Draft, 1, draft)
		p.Flush()
		p.Next()
		p.Done()
		p.Emit(&e)
		p.Release(0)
		p.Take()
		p.Taken()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestRefusedClientsAreStale(t *testing.T) {
	woken := 0
	p := NewPort(func() {}, func() { woken++ })
	p.Start()
	lane, clients := p.Serving(), p.ServingClients()
	if lane == clients || LaneTerm(clients) != lane || !p.Takes(lane) || !p.Takes(clients) || p.Takes(0) {
		t.Fatalf("terms %x and %x", lane, clients)
	}
	for _, term := range []uint64{clients, lane, clients} {
		p.Submit(Draft, term, []byte{byte(term >> clientShift)})
	}
	p.Flush()
	p.ColdSleeps()
	p.Refuse(true)
	p.Refuse(true)
	if woken != 1 || p.ServingClients() != 0 || p.Takes(clients) || p.Serving() != lane {
		t.Fatalf("refused: woken %d times, %x", woken, p.ServingClients())
	}
	p.Refuse(false)
	p.Submit(Draft, p.ServingClients(), []byte{9})
	p.Flush()
	var got []byte
	for kind, b := p.Next(); kind != 0; kind, b = p.Next() {
		got = append(got, b[0])
		p.Done()
	}
	if !bytes.Equal(got, []byte{0, 9}) || p.Stale != 2 {
		t.Errorf("taken %v, %d stale", got, p.Stale)
	}
	p.Refuse(true)
	p.Stop()
	p.Start()
	if !p.Takes(p.ServingClients()) || p.Takes(clients) || p.Takes(lane) {
		t.Error("a new term refuses, or takes what is older")
	}
}
