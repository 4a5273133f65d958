package shapes

import (
	"sync/atomic"

	"onebeat/pin"
	"onebeat/tools/node"
)

// worker spins one loop on a core of its own, as a node with idle = "spin" does.
type worker struct {
	grip pin.Grip
	stop atomic.Bool
	done chan struct{}
}

func startWorker(loop looper, n *node.Node, clock *node.Clock, core int) (*worker, error) {
	w := &worker{done: make(chan struct{})}
	n.RunBy(&w.grip)
	if a, archives := loop.(*archivingHost); archives {
		a.grip = &w.grip
	}
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
		defer w.grip.Release()
		for !w.stop.Load() {
			nowNs := cycle.Next(work > 0)
			w.grip.Cycle(nowNs)
			work = loop.DoWork(nowNs)
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
