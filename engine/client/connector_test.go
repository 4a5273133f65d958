package client

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"onebeat/engine/sbe"
)

const ms = int64(1_000_000)

// story drives a connector over hosts that serve or do not, and tells its changes.
type story struct {
	t      *testing.T
	c      *Connector
	nowNs  int64
	serves []bool
	look   Look
	says   []string
}

func newStory(t *testing.T, hosts int, cfg ConnectorConfig) *story {
	s := &story{t: t, serves: make([]bool, hosts), nowNs: 1000 * ms}
	for range hosts {
		cfg.TimeoutsNs = append(cfg.TimeoutsNs, 10*ms)
	}
	cfg.OnChange = func(c Change) { s.says = append(s.says, fmt.Sprintf("%v %d (%v)", c.To, c.Host, c.Why)) }
	var err error
	if s.c, err = NewConnector(cfg); err != nil {
		t.Fatal(err)
	}
	return s
}

// run lets time pass; a host that serves establishes and answers at once.
func (s *story) run(forNs int64) {
	for end := s.nowNs + forNs; s.nowNs < end; s.nowNs += ms {
		host, send := s.c.Poll(s.nowNs, &s.look)
		if send && s.serves[host] {
			s.look.Ready, s.look.HeardNs = true, s.nowNs
		}
	}
}

func (s *story) want(what ...string) {
	s.t.Helper()
	if got := strings.Join(s.says, ", "); got != strings.Join(what, ", ") {
		s.t.Fatalf("%s\nwant %s", got, strings.Join(what, ", "))
	}
	s.says = nil
}

func TestPrimaryFirst(t *testing.T) {
	s := newStory(t, 3, ConnectorConfig{SilenceNs: 20 * ms})
	s.serves[1] = true
	s.run(30 * ms)
	s.want("connecting 0 (started)", "connecting 1 (timeout)", "up 1 (established)")
	s.run(1000 * ms) // nothing to say: no sign of life is missed
	s.want()
	s.serves[1], s.serves[0] = false, true
	s.look.Waiting = true
	s.run(30 * ms)
	s.want("connecting 0 (silent)", "up 0 (established)") // the first comes first
	s.serves[0], s.serves[2] = false, true
	s.run(60 * ms)
	s.want("connecting 1 (silent)", "connecting 2 (timeout)", "up 2 (established)") // but not if it was lost
}

func TestRoundRobinAndBackoff(t *testing.T) {
	s := newStory(t, 2, ConnectorConfig{Strategy: RoundRobin{}, Backoff: Backoff{MinNs: 50 * ms, MaxNs: 200 * ms, Seed: 5}})
	s.run(5000 * ms)
	rests := 0
	for _, c := range s.says {
		if strings.HasPrefix(c, "resting") {
			rests++
		}
	}
	// Rounds of two attempts of 10 ms and a rest of 25-50, 50-100 and then 100-200 ms.
	if rests < 20 || rests > 45 {
		t.Fatalf("%d rests: %v", rests, s.says)
	}
	s.says = nil
	s.serves[1] = true
	s.run(400 * ms)
	if last := s.says[len(s.says)-1]; last != "up 1 (established)" || s.c.State() != Up {
		t.Fatal(s.says)
	}
	s.says = nil
	s.look.Ready, s.serves[1] = false, false // its server said goodbye
	s.run(12 * ms)
	s.want("connecting 1 (ended)", "connecting 0 (timeout)")
}

func TestBackoffIsBoundedAndJittered(t *testing.T) {
	b, dice := Backoff{MinNs: 10 * ms, MaxNs: 80 * ms}, uint64(1)
	seen := map[int64]bool{}
	for round := range 100 {
		most := min(10*ms<<min(round, 10), 80*ms)
		ns := b.rest(round, &dice)
		if ns < most/2 || ns > most {
			t.Fatalf("round %d rests %d ns", round, ns)
		}
		seen[ns] = true
	}
	if len(seen) < 90 {
		t.Errorf("only %d different rests of 100", len(seen))
	}
}

func TestFatalAfter(t *testing.T) {
	s := newStory(t, 2, ConnectorConfig{Strategy: FatalAfter{Attempts: 3}, Backoff: Backoff{MinNs: ms, MaxNs: ms}})
	s.run(200 * ms)
	s.want("connecting 0 (started)", "connecting 1 (timeout)", "resting 0 (timeout)", "connecting 0 (rested)", "failed 0 (gave up)")
	if _, send := s.c.Poll(s.nowNs, &s.look); send {
		t.Fatal("sends on")
	}
}

func TestBreaker(t *testing.T) {
	s := newStory(t, 2, ConnectorConfig{SilenceNs: 10 * ms, Backoff: Backoff{MinNs: ms, MaxNs: ms}, Breaker: Breaker{Failures: 2, OpenNs: 500 * ms}})
	tries := func() (n int) {
		for _, c := range s.says {
			if strings.HasPrefix(c, "connecting 0") {
				n++
			}
		}
		s.says = nil
		return n
	}
	s.run(50 * ms) // both fail twice
	tries()
	s.run(400 * ms)
	if n := tries(); n != 0 {
		t.Fatalf("host 0 tried %d times behind an open breaker", n)
	}
	s.run(110 * ms)
	if n := tries(); n != 1 {
		t.Fatalf("host 0 tried %d times once the breaker was half open", n)
	}
	s.serves[0], s.serves[1] = true, true
	s.run(600 * ms)
	if s.c.State() != Up {
		t.Fatal(s.c.State())
	}
}

func TestSessionOfAnother(t *testing.T) {
	s := newStory(t, 1, ConnectorConfig{})
	s.serves[0] = true
	s.run(5 * ms)
	s.look.Ready, s.look.Ended, s.look.Code = false, true, sbe.SessionCodeTakenOver
	s.run(5 * ms)
	s.want("connecting 0 (started)", "up 0 (established)", "failed 0 (taken over)")
	s = newStory(t, 2, ConnectorConfig{})
	s.serves[0] = true
	s.run(5 * ms)
	s.look.HeardNs = s.nowNs
	s.c.Moved(1, s.nowNs)
	s.look.HeardNs = s.nowNs
	s.serves[1] = true
	s.run(2 * ms)
	s.want("connecting 0 (started)", "up 0 (established)", "connecting 1 (handed over)", "up 1 (established)")
	s.c.Close(s.nowNs)
	s.want("closed 1 (by the user)")
}

func TestBadConnector(t *testing.T) {
	for _, cfg := range []ConnectorConfig{{}, {TimeoutsNs: []int64{-1}}, {TimeoutsNs: []int64{0}, SilenceNs: -1},
		{TimeoutsNs: []int64{0}, Backoff: Backoff{MinNs: 5, MaxNs: 4}}, {TimeoutsNs: []int64{0}, Breaker: Breaker{Failures: -1}}} {
		if _, err := NewConnector(cfg); !errors.Is(err, ErrConfig) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}
