package shapes

import (
	"context"
	"fmt"
	"time"

	"onebeat/pin"
)

// Second is one of a long measurement.
type Second struct {
	Count  int64 `json:"count"`
	P50Ns  int64 `json:"p50_ns"`
	P99Ns  int64 `json:"p99_ns"`
	P999Ns int64 `json:"p999_ns"`
	MaxNs  int64 `json:"max_ns"`
}

// Timeline is a long measurement, second by second.
type Timeline struct {
	Result  Result   `json:"result"`
	Seconds []Second `json:"seconds"`
}

// Timeline measures a setting for a long time and keeps each second apart, so
// that jitter that comes and goes is seen.
func (b *Bench) Timeline(ctx context.Context, s Setting, length time.Duration) (*Timeline, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	if length < time.Second {
		return nil, fmt.Errorf("a timeline of %v: at least a second", length)
	}
	b.options.Progress(fmt.Sprintf("%s for %v", s.Name(), length))
	unlock, err := pin.LockThread(b.options.Layout.Client)
	if err != nil {
		return nil, err
	}
	defer unlock()
	c, err := b.open(ctx, s)
	if err != nil {
		return nil, err
	}
	t, err := b.timeline(ctx, c, int(length/time.Second))
	if err != nil {
		err = fmt.Errorf("%s: %w", s.Name(), err)
	}
	if closed := c.close(); err == nil {
		err = closed
	}
	return t, err
}

func (b *Bench) timeline(ctx context.Context, c *scene, seconds int) (*Timeline, error) {
	t := &Timeline{Result: b.result(c), Seconds: make([]Second, 0, seconds)}
	all, h := NewHistogram(), NewHistogram()
	for range b.options.Warmup {
		if !c.shooter.shoot(h) {
			return t, ErrNoAnswer
		}
	}
	lostBefore := c.shooter.losses()
	measure := startMeasuring()
	for endNs := c.clock.NowNs(); len(t.Seconds) < seconds; {
		endNs += time.Second.Nanoseconds()
		h.Reset()
		for c.clock.NowNs() < endNs {
			if !c.shooter.shoot(h) {
				return t, ErrNoAnswer
			}
		}
		all.Merge(h)
		t.Seconds = append(t.Seconds, Second{Count: h.TotalCount(), P50Ns: h.ValueAtQuantile(50), P99Ns: h.ValueAtQuantile(99),
			P999Ns: h.ValueAtQuantile(99.9), MaxNs: h.Max()})
		if err := ctx.Err(); err != nil {
			return t, err
		}
	}
	t.Result.Allocs, t.Result.GCCycles = measure.end()
	t.Result.Lost = c.shooter.losses() - lostBefore
	t.Result.RSSBytes = residentBytes()
	t.Result.Fill(all)
	return t, nil
}
