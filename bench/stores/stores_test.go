package stores

import (
	"context"
	"errors"
	"testing"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"

	"onebeat/bench/lab"
	"onebeat/bench/lab/labtest"
)

// Each store answers writes that the second host then has, twice over: it can
// be started again.
func TestStores(t *testing.T) {
	labtest.NeedRoot(t)
	for _, s := range All() {
		t.Run(s.Name(), func(t *testing.T) {
			l, err := lab.Up(lab.Spec{Topology: lab.Pair})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := l.Down(); err != nil {
					t.Error(err)
				}
			}()
			for range 2 {
				once(t, l, s)
			}
		})
	}
}

func once(t *testing.T, l *lab.Lab, s Store) {
	t.Helper()
	if err := s.Start(l); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}()
	const warmup, count = 10, 100
	h := hdr.New(1, 60_000_000_000, 3)
	if err := Measure(context.Background(), s, warmup, count, time.Minute, h); err != nil {
		t.Fatal(err)
	}
	if h.TotalCount() != count || h.Min() < 1000 {
		t.Errorf("%d measured, the fastest in %d ns", h.TotalCount(), h.Min())
	}
	var copied int
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		var err error
		if copied, err = s.Copied(); err != nil {
			t.Fatal(err)
		}
		// A standby applies after it has answered.
		if copied == warmup+count {
			break
		}
	}
	if copied != warmup+count {
		t.Errorf("the second host has %d writes of %d", copied, warmup+count)
	}
	t.Logf("p50 %d p99 %d ns: %s", h.ValueAtQuantile(50), h.ValueAtQuantile(99), s.What())
}

func TestMissing(t *testing.T) {
	t.Setenv("PATH", "")
	for _, s := range []Store{&Redis{}, &Etcd{}} {
		err := s.Start(nil)
		var m *Missing
		if !errors.Is(err, ErrMissing) || !errors.As(err, &m) || m.Install == "" {
			t.Errorf("%s without its program: %v", s.Name(), err)
		}
	}
}
