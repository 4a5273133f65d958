package bpf

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"onebeat/mirror/lane"
)

// eventually waits for what the timer does within a few ticks. Long, because a
// shared machine stands still now and then; a late tick resets the counts.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !f(); time.Sleep(200 * time.Microsecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 5 s: %s", what)
		}
	}
}

// alive moves what must move, as an engine and a peer do, until stopped.
type alive struct {
	engine, peer atomic.Bool
	stop, done   chan struct{}
}

func (h *host) live() *alive {
	a := &alive{stop: make(chan struct{}), done: make(chan struct{})}
	a.engine.Store(true)
	a.peer.Store(true)
	go func() {
		defer close(a.done)
		for {
			select {
			case <-a.stop:
				return
			case <-time.After(100 * time.Microsecond):
			}
			if a.engine.Load() {
				atomic.AddUint64(&h.table.Engine.ProgressNs, 1)
			}
			if a.peer.Load() {
				atomic.AddUint64(&h.table.Peer.Frames, 1)
			}
		}
	}()
	h.t.Cleanup(func() {
		close(a.stop)
		<-a.done
	})
	return a
}

func startTimer(t *testing.T, h *host) {
	t.Helper()
	if err := h.k.StartTimer(laneID); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.k.StopTimer(laneID); err != nil {
			t.Error(err)
		}
	})
}

func TestTimerCounts(t *testing.T) {
	h := newHost(t)
	a := h.live()
	w := &h.table.Watch
	startTimer(t, h)
	stuckTicks := func() uint32 { return atomic.LoadUint32(&w.StuckTicks) }
	silentTicks := func() uint32 { return atomic.LoadUint32(&w.SilentTicks) }

	eventually(t, "ticks", func() bool { return atomic.LoadUint64(&w.LastTickNs) != 0 && atomic.LoadUint64(&w.LastHeardNs) != 0 })
	a.engine.Store(false)
	eventually(t, "stuck counted up to its bound", func() bool { return stuckTicks() == h.table.Config.HangTicks })
	a.peer.Store(false)
	eventually(t, "silence counted up to its bound", func() bool { return silentTicks() == h.table.Config.SilenceTicks })
	for range 20 {
		time.Sleep(time.Millisecond)
		if stuckTicks() > h.table.Config.HangTicks || silentTicks() > h.table.Config.SilenceTicks {
			t.Fatalf("counted on: %d %d", stuckTicks(), silentTicks())
		}
	}
	if h.wordNow() != lane.MakeWord(epoch, lane.Standby) {
		t.Errorf("silence changed the authority to %v though the configuration does not say so", h.wordNow())
	}
	a.engine.Store(true)
	eventually(t, "progress forgives", func() bool { return stuckTicks() == 0 })
	a.peer.Store(true)
	eventually(t, "a frame forgives", func() bool { return silentTicks() == 0 })
}

// A tick that is itself late accuses nobody.
func TestLateTickResets(t *testing.T) {
	h := newHost(t)
	w := &h.table.Watch
	startTimer(t, h)
	eventually(t, "both counts", func() bool {
		return atomic.LoadUint32(&w.StuckTicks) == h.table.Config.HangTicks && atomic.LoadUint32(&w.SilentTicks) == h.table.Config.SilenceTicks
	})
	late := atomic.LoadUint64(&w.LateTicks)
	eventually(t, "a late tick that resets both", func() bool {
		// As if the machine had stood still since a while.
		atomic.StoreUint64(&w.LastTickNs, 1)
		for range 20 {
			time.Sleep(100 * time.Microsecond)
			if atomic.LoadUint32(&w.StuckTicks) < h.table.Config.HangTicks && atomic.LoadUint32(&w.SilentTicks) < h.table.Config.SilenceTicks {
				return true
			}
		}
		return false
	})
	if atomic.LoadUint64(&w.LateTicks) == late {
		t.Error("the late tick was not counted")
	}
}

func TestSilencePromotesWhereConfigured(t *testing.T) {
	h := newHost(t)
	a := h.live()
	h.table.Config.Flags |= lane.ConfigSilencePromotes
	startTimer(t, h)
	time.Sleep(20 * time.Millisecond)
	if h.wordNow().State() != lane.Standby {
		t.Fatalf("%v though the peer is heard", h.wordNow())
	}
	a.peer.Store(false)
	eventually(t, "CANDIDATE", func() bool { return h.wordNow() == lane.MakeWord(epoch, lane.Candidate) })
	eventually(t, "its reason", func() bool {
		return atomic.LoadUint64(&h.table.Watch.CandidateWhy) == uint64(lane.WhySilent) && atomic.LoadUint64(&h.table.Watch.CandidateNs) != 0
	})
}

// A node whose own engine hangs does not take over, whoever is silent.
func TestSilenceDoesNotPromoteTheHung(t *testing.T) {
	h := newHost(t)
	stuck(h)
	h.table.Config.Flags |= lane.ConfigSilencePromotes
	h.mark()
	startTimer(t, h)
	eventually(t, "refusal", func() bool { return h.counted() != "" })
	if h.wordNow().State() != lane.Standby || h.last["candidate"] != 0 {
		t.Errorf("authority %v", h.wordNow())
	}
}

func TestTimerStopsAndStartsAgain(t *testing.T) {
	h := newHost(t)
	tick := func() uint64 { return atomic.LoadUint64(&h.table.Watch.LastTickNs) }
	if err := h.k.StopTimer(laneID); err != nil {
		t.Errorf("stop before start: %v", err)
	}
	for range 3 {
		startTimer(t, h)
		startTimer(t, h) // again, as a restarted process does
		eventually(t, "ticks", func() bool { return tick() != 0 })
		if err := h.k.StopTimer(laneID); err != nil {
			t.Fatal(err)
		}
		last := tick()
		time.Sleep(10 * time.Millisecond)
		if tick() != last {
			t.Error("ticks after stop")
		}
	}
	h.table.Config.Used = 0
	startTimer(t, h)
	time.Sleep(5 * time.Millisecond)
	if tick() != 0 {
		t.Error("ticks of an unused lane")
	}
	if err := h.k.StartTimer(Lanes); err == nil {
		t.Error("a timer for a lane beyond the table")
	}
}

// Silence is silence on every path: a frame on either NIC ends it.
func TestEitherPathBreaksSilence(t *testing.T) {
	for name, frames := range map[string]func(*lane.Table) *uint64{
		"link":  func(t *lane.Table) *uint64 { return &t.Peer.Frames },
		"order": func(t *lane.Table) *uint64 { return &t.Second.Frames },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			tick, now := ticker(t, h), uint64(1e9)
			h.table.Config.Flags |= lane.ConfigSilencePromotes
			beat := func(heard bool) {
				if heard {
					*frames(h.table)++
				}
				now += h.table.Config.TickNs
				h.table.Engine.ProgressNs++
				tick(now)
			}
			for i := range 50 {
				beat(i%4 == 0)
			}
			w := &h.table.Watch
			if h.wordNow().State() != lane.Standby || w.SilentTicks >= h.table.Config.SilenceTicks {
				t.Fatalf("%v, silent for %d ticks", h.wordNow(), w.SilentTicks)
			}
			if (w.LastHeardNs != 0) != (name == "link") || (w.LastSecondHeardNs != 0) != (name == "order") {
				t.Errorf("last heard %d and %d", w.LastHeardNs, w.LastSecondHeardNs)
			}
			for range h.table.Config.SilenceTicks {
				beat(false)
			}
			if h.wordNow().State() != lane.Candidate {
				t.Errorf("%v after silence on both", h.wordNow())
			}
		})
	}
}

// Who takes silence for death must be well itself: one tick without progress of
// its own engine, and it waits for the next.
func TestSilencePromotesOnlyTheMoving(t *testing.T) {
	h := newHost(t)
	tick, now := ticker(t, h), uint64(1e9)
	h.table.Config.Flags |= lane.ConfigSilencePromotes
	beat := func(works bool) {
		now += h.table.Config.TickNs
		if works {
			h.table.Engine.ProgressNs++
		}
		tick(now)
	}
	for range h.table.Config.SilenceTicks - 1 {
		beat(true)
	}
	h.mark()
	for range 3 {
		beat(false)
	}
	if h.wordNow().State() != lane.Standby || h.counted() != "candidate_refused candidate_refused candidate_refused" {
		t.Fatalf("%v with an engine that stands still, counted %q", h.wordNow(), h.counted())
	}
	beat(true)
	if h.wordNow().State() != lane.Candidate {
		t.Errorf("%v though its engine moves again", h.wordNow())
	}
}

// ticker returns the lane's tick at a time of the test's choice.
func ticker(t *testing.T, h *host) func(nowNs uint64) {
	p := loadTicker(t, h.k)
	return func(nowNs uint64) {
		t.Helper()
		args := tickArgs{Lane: laneID, NowNs: nowNs}
		if rc, err := p.Run(&ebpf.RunOptions{Context: &args}); err != nil || rc != 0 {
			t.Fatal(rc, err)
		}
	}
}

type tickArgs struct {
	Lane, Pad uint32
	NowNs     uint64
}
