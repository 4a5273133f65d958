package engine

import (
	"encoding/binary"

	"onebeat/engine/app"
)

const (
	// digestEvery is how many records share one state digest in the log.
	digestEvery = 4096
	// roomReserveBytes is the ring space that must be left before another
	// batch of frames is taken in.
	roomReserveBytes = 256 << 10
	// pollDrafts bounds the inputs that time may bring about in one cycle.
	pollDrafts = 64
)

// laneClock continues the lane's time from its last record plus local elapsed
// time; it never runs backwards.
type laneClock struct {
	offsetNs int64
	lastNs   int64
}

// start makes the clock go on from lastRecordNs, the time of the record that
// opened the epoch, at nowNs.
func (c *laneClock) start(lastRecordNs, nowNs int64) {
	c.offsetNs = lastRecordNs - nowNs
	c.lastNs = lastRecordNs
}

func (c *laneClock) now(nowNs int64) int64 {
	if t := nowNs + c.offsetNs; t > c.lastNs {
		c.lastNs = t
	}
	return c.lastNs
}

// runTimers lets the machine send heartbeats and commit what time brought
// about.
func (l *Loop) runTimers(nowNs int64) int {
	laneNs := l.clock.now(nowNs)
	for i := range pollDrafts {
		if !l.hasRoom() {
			return i
		}
		verdict, draft := l.machine.Poll(laneNs, l.out)
		if verdict != app.Commit {
			return i
		}
		l.commit(draft, laneNs)
	}
	return pollDrafts
}

// commitDigest puts the hash of the state so far into the log: a standby that
// applied the same records has the same.
func (l *Loop) commitDigest(laneNs int64) {
	l.digestIn = digestEvery
	binary.LittleEndian.PutUint64(l.digest[:], l.machine.Digest())
	if end, ok := l.replica.Append(app.RecordDigest, laneNs, l.digest[:], &l.record); ok {
		l.out.RecordEnd = end
		l.machine.Apply(&l.record, l.out)
	}
}
