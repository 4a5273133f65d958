package shapes

import (
	"sync/atomic"

	"onebeat/pin"
	"onebeat/tools/node"
)

// worker spins one loop on a core of its own, as a node with idle = "spin" does.
type worker struct {
	stop atomic.Bool
	done chan struct{}
}

func startWorker(loop looper, clock *node.Clock, core int) (*worker, error) {
	w := &worker{done: make(chan struct{})}
	ready := make(chan error, 1)
	go func() {
		defer close(w.done)
		unlock, err := pin.LockThread(core)
		ready <- err
		if err != nil {
			return
		}
		defer unlock()
		cycle, work := node.CycleClock{Clock: clock}, 0
		for !w.stop.Load() {
			work = loop.DoWork(cycle.Next(work > 0))
		}
	}()
	if err := <-ready; err != nil {
		return nil, err
	}
	return w, nil
}

func (w *worker) end() {
	w.stop.Store(true)
	<-w.done
}
