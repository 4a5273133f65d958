package stores

import (
	"context"
	"fmt"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// Measure makes warmup and then count writes, one after the other, and records
// how long each took, in nanoseconds; after limit it ends whatever the count.
func Measure(ctx context.Context, s Store, warmup, count int, limit time.Duration, h *hdr.Histogram) error {
	payload := make([]byte, PayloadBytes)
	for i := range payload {
		payload[i] = 'a' + byte(i%26)
	}
	deadline := time.Now().Add(limit)
	for i := range warmup + count {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		began := time.Now()
		if began.After(deadline) && i > warmup {
			break
		}
		if err := s.Write(payload); err != nil {
			return fmt.Errorf("%s, write %d: %w", s.Name(), i+1, err)
		}
		took := time.Since(began)
		if i < warmup {
			continue
		}
		if err := h.RecordValue(max(took.Nanoseconds(), 1)); err != nil {
			return fmt.Errorf("%s: %w", s.Name(), err)
		}
	}
	return nil
}
