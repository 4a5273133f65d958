package fixload

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"

	"onebeat/bench/fixpeers"
	"onebeat/bench/lab/porttest"
)

func serve(t *testing.T) Options {
	t.Helper()
	at := porttest.Hold(t)
	a, err := fixpeers.StartAcceptor(&fixpeers.AcceptorOptions{At: at, CompID: "VENUE", Clients: []string{"DESK"}, StoreDir: filepath.Join(t.TempDir(), "store")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Stop)
	return Options{At: at, Sender: "DESK", Target: "VENUE"}
}

func TestLoadsAPlainAcceptor(t *testing.T) {
	o := serve(t)
	for _, spin := range []bool{false, true} {
		o.Spin = spin
		s, err := Dial(o)
		if err != nil {
			t.Fatal(err)
		}
		first, h := uint64(o.NextOut+1), hdr.New(1, 60_000_000_000, 3)
		next, err := OneInFlight(context.Background(), s, first, 50, time.Minute, h)
		if err != nil || next != first+50 || h.TotalCount() != 50 {
			t.Fatalf("%d orders, %v, %d times", next-first, err, h.TotalCount())
		}
		f, err := Pipeline(context.Background(), s, next, 500, 5_000, h)
		if err != nil || f.Orders != 500 || h.TotalCount() != 550 {
			t.Fatalf("%+v, %v", f, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		o.NextOut = s.NextOut()
	}
	o.Sender = "STRANGER"
	if _, err := Dial(o); err == nil {
		t.Error("a stranger was let in")
	}
}

func TestReaderTakesWholeMessages(t *testing.T) {
	w := writer{version: "FIX.4.4", sender: "A", target: "B", next: 1}
	for id := range uint64(300) {
		w.order(id, "ONEB", 10_000, time.UnixMilli(int64(id)))
	}
	r := reader{b: make([]byte, 700)}
	got, rest := uint64(0), w.out
	for step := 1; len(rest) > 0; step = step%90 + 7 {
		n := copy(r.room(), rest[:min(step, len(rest))])
		r.upTo += n
		rest = rest[n:]
		for {
			m, err := r.next()
			if err != nil {
				t.Fatal(err)
			}
			if m == nil {
				break
			}
			if id := uintOf(value(m, tagClOrdID)); id != got {
				t.Fatalf("order %d, want %d: %q", id, got, m)
			}
			got++
		}
	}
	if got != 300 {
		t.Errorf("%d messages", got)
	}
	for _, bad := range []string{"GET / HTTP/1.1\r\n\r\n----", "8=FIX.4.4\x019=x\x0135=0\x01......"} {
		r := reader{b: []byte(bad), upTo: len(bad)}
		if m, err := r.next(); !errors.Is(err, ErrGarbled) {
			t.Errorf("%q: %q, %v", bad, m, err)
		}
	}
	if v := value([]byte("8=X\x01111=a\x0111=b\x01"), "11="); string(v) != "b" {
		t.Errorf("%q", v)
	}
}
