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
	// pollEveryNs is how often an idle loop asks the machine what time brings.
	pollEveryNs = 5_000
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

// afterwards does what must not stand in an order's way: it gives the frames
// back, looks for room for the next batch, runs timers and announces a promotion. What it lets out leaves
// in the next cycle.
func (l *Loop) afterwards(work int, nowNs int64) int {
	if work > 0 {
		l.order.Done()
		l.replica.Warm()
		l.machine.Warm()
	}
	if work > 0 || !l.room {
		l.room = l.hasRoom()
	}
	if nowNs-l.polledNs < pollEveryNs && work == 0 {
		return 0
	}
	l.polledNs = nowNs
	if l.replica.TakeAnnounce(nowNs) {
		l.announce()
	}
	return l.runTimers(nowNs)
}

// hasRoom keeps room in outbox and ring for what one batch can cause. Without
// it frames wait in the NIC's ring: an appended order is never refused.
func (l *Loop) hasRoom() bool {
	if l.out.Room() < intakeReserve || l.replica.Room() < roomReserveBytes {
		l.counters.RingFull++
		return false
	}
	return true
}

// runTimers lets the machine send heartbeats and commit what time brought
// about.
func (l *Loop) runTimers(nowNs int64) int {
	laneNs := l.clock.now(nowNs)
	before := l.out.Tail()
	for range pollDrafts {
		if l.replica.IntakeStopped() || !l.hasRoom() {
			break
		}
		verdict, draft := l.machine.Poll(laneNs, l.out)
		if verdict != app.Commit {
			break
		}
		l.commit(draft, laneNs)
	}
	return int(l.out.Tail() - before)
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
