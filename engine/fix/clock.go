package fix

import (
	"time"

	"onebeat/engine/fix/convert"
	"onebeat/engine/fix/store"
)

// clockEvery is how often time is looked at.
const clockEvery = 20 * time.Millisecond

// peerFactor is how many heartbeats of silence are too many: "a reasonable
// transmission time" is a fifth of one.
const peerFactor = 1.2

func (a *Acceptor) runClock() {
	defer a.running.Done()
	t := time.NewTicker(clockEvery)
	defer t.Stop()
	for {
		select {
		case <-a.stop:
			return
		case <-t.C:
			for _, c := range a.all() {
				if c.mu.TryLock() {
					c.tick(a.nowNs())
					c.mu.Unlock()
				}
			}
			a.flush()
			if a.talking.Load() && a.nowNs()-a.talkedNs.Load() > silentNs {
				a.setTalking(false)
			}
		}
	}
}

// tick does what time asks of a connection; c.mu is held.
func (c *conn) tick(nowNs int64) {
	switch c.state {
	case loggingOut:
		if nowNs > c.logoutNs+int64(c.cfg.LogoutTimeout) {
			c.close()
		}
		return
	case loggedOn:
	default:
		return
	}
	if _, _, open := c.cfg.Schedule.Session(c.a.cfg.Now()); !open || c.cfg.Schedule.Expired(c.createdAt, c.a.cfg.Now()) {
		c.a.Counts.add(CountSchedulesEnded)
		if c.cfg.SessionConfig.Venue { // what is ordered from here on is not for this session
			_ = c.draft(&store.Header{Kind: store.Step, Flags: store.Closed}, nil)
		}
		c.logout("End of session", nil)
		return
	}
	if !c.live.Load() || c.heartbeatNs == 0 {
		return
	}
	silent := nowNs - c.lastInNs.Load()
	switch limit := int64(float64(c.heartbeatNs) * peerFactor); {
	case silent > 2*limit && c.tested:
		c.a.Counts.add(CountPeerTimeout)
		c.close()
		return
	case silent > limit && !c.tested:
		c.tested = true
		_ = c.say(0, nil, "1", nil, convert.AppendField(nil, 112, "TEST"))
		c.lastOutNs.Store(nowNs)
	}
	if !c.tested && nowNs-c.lastOutNs.Load() >= c.heartbeatNs {
		c.lastOutNs.Store(nowNs)
		_ = c.draft(&store.Header{Kind: store.Step, Flags: store.Send}, store.AppendMessage[string](nil, "0", "", ""))
	}
}
