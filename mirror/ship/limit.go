package ship

import (
	"context"
	"io"
	"time"
)

// rateKey carries a rate in a context: what is put within it keeps to that.
type rateKey struct{}

// WithRate bounds what is sent to a store within a context, in bytes per second;
// 0: no bound.
func WithRate(ctx context.Context, bytesPerSecond int64) context.Context {
	if bytesPerSecond <= 0 {
		return ctx
	}
	return context.WithValue(ctx, rateKey{}, bytesPerSecond)
}

// limited reads no faster than the context allows, and not at all once it ended.
func limited(ctx context.Context, r io.Reader) io.Reader {
	rate, _ := ctx.Value(rateKey{}).(int64)
	return &limitedReader{ctx: ctx, r: r, rate: rate, began: time.Now()}
}

type limitedReader struct {
	ctx   context.Context
	r     io.Reader
	rate  int64
	began time.Time
	read  int64
}

// limitedPiece keeps one read within a fraction of a second's worth.
const limitedPiece = 64 << 10

func (l *limitedReader) Read(b []byte) (int, error) {
	if err := l.ctx.Err(); err != nil {
		return 0, err
	}
	if l.rate > 0 {
		due := time.Duration(float64(l.read) / float64(l.rate) * float64(time.Second))
		if wait := due - time.Since(l.began); wait > 0 {
			t := time.NewTimer(wait)
			defer t.Stop()
			select {
			case <-t.C:
			case <-l.ctx.Done():
				return 0, l.ctx.Err()
			}
		}
		b = b[:min(len(b), limitedPiece)]
	}
	n, err := l.r.Read(b)
	l.read += int64(n)
	return n, err
}
