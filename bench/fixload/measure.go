package fixload

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// OneInFlight sends count orders, each after the report of the one before, and
// records the times from before the write to behind the read.
func OneInFlight(ctx context.Context, s *Session, first uint64, count int, limit time.Duration, h *hdr.Histogram) (next uint64, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	s.alone = true
	defer func() { s.alone = false }()
	begin := time.Now()
	for i := range count {
		if i%64 == 0 && (ctx.Err() != nil || time.Since(begin) > limit) {
			break
		}
		sent := time.Now()
		if err := s.Send(first, 1); err != nil {
			return first, err
		}
		if err := s.AwaitID(first); err != nil {
			return first, fmt.Errorf("order %d: %w", first, err)
		}
		if h != nil {
			_ = h.RecordValue(max(time.Since(sent).Nanoseconds(), 1)) // within the range: reading has a timeout
		}
		first++
	}
	return first, ctx.Err()
}

// Flood is what a session bore.
type Flood struct {
	Orders    uint64  `json:"orders"`
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"per_second"`
	P50Ns     int64   `json:"p50_ns"`
	P99Ns     int64   `json:"p99_ns"`
}

const (
	// floodWindow is how many orders may be unanswered; it fits into the socket's
	// buffers.
	floodWindow = 1024
	floodPause  = 200 * time.Microsecond
)

// Pipeline sends orders at a rate, answered or not, and waits for all answers; the
// times are from when each was due. A session that does not keep up is offered no
// more than a window at once.
func Pipeline(ctx context.Context, s *Session, first, count uint64, perSecond int, h *hdr.Histogram) (f Flood, err error) {
	var answered atomic.Uint64
	everyNs := 1e9 / float64(perSecond)
	began := time.Now()
	read := make(chan error, 1)
	go func() {
		for want := first; want < first+count; {
			id, err := s.Await()
			if err != nil {
				read <- fmt.Errorf("order %d: %w", want, err)
				return
			}
			if id != want {
				continue // a trade of an order whose first report has come
			}
			dueNs := int64(float64(want-first) * everyNs)
			_ = h.RecordValue(max(time.Since(began).Nanoseconds()-dueNs, 1))
			want++
			answered.Add(1)
		}
		read <- nil
	}()
	for n := uint64(0); n < count; {
		due := uint64(float64(time.Since(began).Nanoseconds())/everyNs) + 1
		batch := min(due, count, answered.Load()+floodWindow)
		if batch <= n {
			select {
			case err := <-read: // it cannot be done yet
				return f, err
			case <-ctx.Done():
				return f, ctx.Err()
			case <-time.After(floodPause):
			}
			continue
		}
		if err := s.Send(first+n, int(batch-n)); err != nil {
			return f, errors.Join(err, <-read)
		}
		n = batch
	}
	if err := <-read; err != nil {
		return f, err
	}
	f.Orders, f.Seconds = count, time.Since(began).Seconds()
	f.PerSecond = float64(count) / f.Seconds
	f.P50Ns, f.P99Ns = h.ValueAtQuantile(50), h.ValueAtQuantile(99)
	return f, nil
}
