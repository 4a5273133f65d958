package venue

// bucket lets so many requests a second pass, and a burst at once. It is the
// generic cell rate algorithm: one time says how far ahead of its rate it is.
type bucket struct {
	intervalNs int64 // between two requests; 0: no limit
	aheadNs    int64 // (burst-1) intervals
	fullNs     int64 // lane time at which it would be full of tokens again
}

func newBucket(perSecond, burst int) bucket {
	if perSecond <= 0 {
		return bucket{}
	}
	// Rounded up: the rate is never exceeded.
	interval := (int64(1_000_000_000) + int64(perSecond) - 1) / int64(perSecond)
	return bucket{intervalNs: interval, aheadNs: int64(max(burst, 1)-1) * interval}
}

// nextNs is when the next request may pass.
func (b *bucket) nextNs() int64 { return b.fullNs - b.aheadNs }

// take lets one request pass, if there is a token.
func (b *bucket) take(nowNs int64) bool {
	if b.intervalNs == 0 {
		return true
	}
	if nowNs < b.nextNs() {
		return false
	}
	b.fullNs = max(b.fullNs, nowNs) + b.intervalNs
	return true
}
