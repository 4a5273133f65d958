package fixp

// RateMax bounds a configured rate.
const RateMax = 10_000_000

// rate is a bound on how often something may happen: the generic cell rate
// algorithm (ITU-T I.371), which needs one number for each of those it bounds.
type rate struct {
	perSecond, burst uint32
	stepNs           int64 // between two, in the long run; 0: no bound
	slackNs          int64 // how far the long run may be ahead
}

func newRate(perSecond, burst int) rate {
	if perSecond == 0 {
		return rate{}
	}
	step := max(1, 1_000_000_000/int64(perSecond))
	return rate{perSecond: uint32(perSecond), burst: uint32(burst), stepNs: step, slackNs: step * int64(max(burst, 1)-1)}
}

// allow takes one at nowNs; nextNs is when the next one would be in time if
// there were no burst.
func (r *rate) allow(nextNs *int64, nowNs int64) bool {
	if r.stepNs == 0 {
		return true
	}
	if *nextNs-nowNs > r.slackNs {
		return false
	}
	*nextNs = max(*nextNs, nowNs) + r.stepNs
	return true
}
