package bpf

import (
	"encoding/binary"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"onebeat/mirror/lane"
	"onebeat/mirror/wire"
	"onebeat/xdp/frame"
)

const raceTime = 2500 * time.Millisecond

// Promotion against append: who has changed the word and then seen busy 0 owns
// the tail. One thread appends through the program as fast as it can, the other
// promotes and takes back, as engines do.
func TestTailRestsAfterPromotion(t *testing.T) {
	h := newHost(t)
	authOff(h)
	var runs, stop atomic.Uint64
	var wg sync.WaitGroup
	finish := func() {
		stop.Store(1)
		wg.Wait()
	}
	defer finish() // before the memory goes
	wg.Go(func() {
		f := h.sent(wire.Mirror, bytesOf(32, 3), nil, nil)
		b := f[frame.HeaderBytes:]
		out := make([]byte, 256)
		for n := uint64(2); stop.Load() == 0; n++ {
			tail := atomic.LoadUint64(&h.table.Tail)
			atomic.StoreUint64(&h.table.Engine.Applied, tail) // its reader is quick
			binary.LittleEndian.PutUint64(b[24:], tail)
			binary.LittleEndian.PutUint64(b[80:], n)
			if _, err := h.k.Link.Run(&ebpf.RunOptions{Data: f, DataOut: out}); err != nil {
				t.Error(err)
				return
			}
			runs.Add(1)
		}
	})
	standby := lane.MakeWord(epoch, lane.Standby)
	promotions, moved, appended := 0, 0, uint64(0)
	for end := time.Now().Add(raceTime); time.Now().Before(end) && !t.Failed(); {
		if !lane.Swap(h.word, standby, standby.With(lane.Candidate)) {
			t.Fatalf("authority %v", h.wordNow())
		}
		for atomic.LoadUint64(&h.table.Busy) != 0 {
		}
		tail := atomic.LoadUint64(&h.table.Tail)
		if tail != appended {
			moved++
		}
		for from, spins := runs.Load(), 0; runs.Load() < from+2 && !t.Failed(); spins++ {
			if atomic.LoadUint64(&h.table.Tail) != tail {
				t.Fatalf("after %d promotions the tail went from %d to %d", promotions, tail, h.table.Tail)
			}
			if spins&1023 == 1023 {
				runtime.Gosched()
			}
		}
		appended = atomic.LoadUint64(&h.table.Tail)
		lane.Swap(h.word, standby.With(lane.Candidate), standby)
		promotions++
		// 0 to 2 frames meet a standby before the next promotion, which falls anywhere.
		for from := runs.Load(); runs.Load() < from+uint64(promotions%3) && !t.Failed(); {
			runtime.Gosched()
		}
	}
	finish()
	t.Logf("%d promotions, appends before %d of them, %d runs", promotions, moved, runs.Load())
	if promotions < 500 || moved < 50 {
		t.Errorf("too few meetings to mean anything")
	}
}

// The word is changed by kernel programs on two CPUs and by user space at once:
// every change is somebody's, none is lost and none made twice.
func TestAuthoritySwapsAreNeverLost(t *testing.T) {
	h := newHost(t)
	h.reset(lane.Active)
	h.setOrder(false) // engine gone: the steering program fences
	before, err := h.k.Reasons()
	if err != nil {
		t.Fatal(err)
	}
	var stop atomic.Bool
	var byUser, given atomic.Uint64
	var wg sync.WaitGroup
	finish := func() {
		stop.Store(true)
		wg.Wait()
	}
	defer finish()
	for range 2 {
		wg.Go(func() {
			f, out := orderFrame(64), make([]byte, 512)
			for !stop.Load() {
				if _, err := h.k.Steer.Run(&ebpf.RunOptions{Data: f, DataOut: out}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Go(func() {
		for i := 0; !stop.Load(); i++ {
			w := h.wordNow()
			if w.State() == lane.Active && lane.Swap(h.word, w, w.With(lane.Fenced)) {
				byUser.Add(1)
			}
			for range i % 512 { // let the others win too
				runtime.KeepAlive(i)
			}
			if i%16 == 0 {
				runtime.Gosched()
			}
		}
	})
	for end := time.Now().Add(raceTime / 2); time.Now().Before(end) && !t.Failed(); {
		w := h.wordNow()
		if w.State() != lane.Fenced {
			runtime.Gosched()
			continue
		}
		next := lane.MakeWord(w.Epoch()+1, lane.Active)
		atomic.StoreUint64(&h.table.Peer.Authority, uint64(next.With(lane.Standby)))
		if !lane.Swap(h.word, w, next) {
			t.Fatalf("FENCED is not for good: %v became %v", w, h.wordNow())
		}
		given.Add(1)
	}
	finish()
	after, err := h.k.Reasons()
	if err != nil {
		t.Fatal(err)
	}
	byKernel := after["fenced_by_steer"] - before["fenced_by_steer"]
	taken := byKernel + byUser.Load()
	if h.wordNow().State() == lane.Active {
		taken++
	}
	if taken != given.Load()+1 {
		t.Errorf("given %d times and once at first, taken %d times", given.Load(), taken)
	}
	if got := h.wordNow().Epoch(); uint64(got) != epoch+given.Load() {
		t.Errorf("epoch %d after %d changes", got, given.Load())
	}
	t.Logf("fenced %d times by the kernel, %d by user space", byKernel, byUser.Load())
	if byKernel < 10 || byUser.Load() < 10 {
		t.Error("too few meetings to mean anything")
	}
}
