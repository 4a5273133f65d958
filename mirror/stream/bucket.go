package stream

import "time"

// bucket limits bytes per second, with a burst of a tenth of a second's worth,
// at least a chunk. Zero: no limit.
type bucket struct {
	rateBytes float64 // per second
	tokens    float64 // may be negative: what is to be waited for
	atNs      int64
}

func newBucket(rateBytes uint64, nowNs int64) bucket {
	b := bucket{rateBytes: float64(rateBytes), atNs: nowNs}
	b.tokens = b.burst()
	return b
}

func (b *bucket) burst() float64 { return max(b.rateBytes/10, ChunkBytes) }

// take uses bytes up and returns how long to wait before they may be sent.
func (b *bucket) take(bytes int, nowNs int64) time.Duration {
	if b.rateBytes == 0 {
		return 0
	}
	b.tokens = min(b.burst(), b.tokens+float64(max(nowNs-b.atNs, 0))*b.rateBytes/1e9)
	b.atNs = nowNs
	b.tokens -= float64(bytes)
	if b.tokens >= 0 {
		return 0
	}
	return time.Duration(-b.tokens / b.rateBytes * 1e9)
}

// smaller returns the stricter of two rates, of which 0 is none.
func smaller(a, b uint64) uint64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
