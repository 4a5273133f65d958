package track

import (
	"slices"
	"time"
)

const (
	lagSamples = 64
	// lagWindow is how old a sample may be, lagLeast how many make a figure.
	lagWindow = 5 * time.Second
	lagLeast  = 5
	// lagLook is the pause between two looks at a record that is waited for;
	// LagLimit is where waiting for it ends: it counts as so slow.
	lagLook  = 100 * time.Microsecond
	LagLimit = 10 * time.Millisecond
)

// Lag is how long records wait for the standby's ACK, sampled from beside: now
// and then the log's end is noted and looked at until it is ACKed. That sees no
// microseconds, but well what is about to become an outage.
type Lag struct {
	samples [lagSamples]struct {
		at time.Time
		d  time.Duration
	}
	count int
}

// Sample takes a sample if something is in flight. tail and acked read the
// lane's table.
func (l *Lag) Sample(tail, acked func() uint64) {
	end := tail()
	if acked() >= end {
		return
	}
	began := time.Now()
	for acked() < end && time.Since(began) < LagLimit {
		time.Sleep(lagLook)
	}
	l.add(began, time.Since(began))
}

func (l *Lag) add(at time.Time, d time.Duration) {
	l.samples[l.count%lagSamples].at, l.samples[l.count%lagSamples].d = at, d
	l.count++
}

// Ns returns the median of the last seconds, 0 while there are too few samples.
func (l *Lag) Ns(now time.Time) int64 {
	var fresh []time.Duration
	for i := range min(l.count, lagSamples) {
		if s := &l.samples[i]; now.Sub(s.at) < lagWindow {
			fresh = append(fresh, s.d)
		}
	}
	if len(fresh) < lagLeast {
		return 0
	}
	slices.Sort(fresh)
	return fresh[len(fresh)/2].Nanoseconds()
}

// Late is the share of the kernel's ticks that came late, over the last seconds.
type Late struct {
	at    [lateSteps]time.Time
	late  [lateSteps]uint64
	count int
}

const (
	lateSteps = 16
	lateStep  = time.Second
)

// Observe takes the counter as it is and returns the share.
func (l *Late) Observe(late uint64, tick time.Duration, now time.Time) float64 {
	if l.count == 0 || now.Sub(l.at[(l.count-1)%lateSteps]) >= lateStep {
		l.at[l.count%lateSteps], l.late[l.count%lateSteps] = now, late
		l.count++
	}
	oldest := max(0, l.count-lateSteps) % lateSteps
	elapsed := now.Sub(l.at[oldest])
	if elapsed < lateStep || late < l.late[oldest] {
		return 0
	}
	return float64(late-l.late[oldest]) * float64(tick) / float64(elapsed)
}
