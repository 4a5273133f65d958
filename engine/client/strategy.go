package client

// Search is an attempt to find a host that serves, as a Strategy sees it.
type Search struct {
	Hosts int
	// Last is the host that failed or was lost; -1: there was none yet.
	Last int
	// Failed is how many attempts failed in a row; 0: the search begins, with a lost
	// host if Last is not -1.
	Failed int
}

// Strategy says which host to try. It is asked when a client starts, when the
// host it has is lost and after each attempt that failed; ok false gives up for
// good. Hosts whose circuit breaker is open are passed over: the next is asked for
// as if they had failed.
type Strategy interface {
	Next(s Search) (host int, ok bool)
}

// PrimaryFirst tries hosts in their order and begins every search with the first,
// unless it is the one just lost.
type PrimaryFirst struct{}

// Next implements Strategy.
func (PrimaryFirst) Next(s Search) (int, bool) {
	switch {
	case s.Failed > 0:
		return (s.Last + 1) % s.Hosts, true
	case s.Last == 0 && s.Hosts > 1:
		return 1, true
	}
	return 0, true
}

// RoundRobin goes on with the host behind the last one, also in a new search.
type RoundRobin struct{}

// Next implements Strategy.
func (RoundRobin) Next(s Search) (int, bool) { return (s.Last + 1) % s.Hosts, true }

// FatalAfter gives up after so many attempts in a row that failed; Of chooses
// among the hosts until then [PrimaryFirst].
type FatalAfter struct {
	Attempts int
	Of       Strategy
}

// Next implements Strategy.
func (f FatalAfter) Next(s Search) (int, bool) {
	if s.Failed >= f.Attempts {
		return 0, false
	}
	if f.Of == nil {
		return PrimaryFirst{}.Next(s)
	}
	return f.Of.Next(s)
}

// Backoff is how long a client rests after each round in which no host served:
// from MinNs on, doubled each time up to MaxNs, each wait a random part between
// half of it and all of it, so that clients cut off together do not come back
// together.
type Backoff struct {
	MinNs, MaxNs int64  // [10 ms], [1 s]
	Seed         uint64 // of the randomness; give every client another
}

// rest is the wait after the given round, from 0 on.
func (b *Backoff) rest(round int, dice *uint64) int64 {
	ns := b.MinNs
	for ; round > 0 && ns < b.MaxNs; round-- {
		ns *= 2
	}
	ns = min(ns, b.MaxNs)
	*dice += 0x9e3779b97f4a7c15
	z := *dice
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return ns/2 + int64((z^z>>31)%uint64(ns-ns/2+1))
}

// Breaker keeps a client from a host that failed Failures times in a row for
// OpenNs; then one attempt decides. Failures 0: there is none.
type Breaker struct {
	Failures int
	OpenNs   int64 // [5 s]
}
