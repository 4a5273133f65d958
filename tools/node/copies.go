package node

import (
	"context"
	"time"

	"onebeat/mirror"
)

// feedEvery is how often the loops learn what further copies hold.
const feedEvery = time.Millisecond

// runCopies tells the loops up to where the copies that count hold the log, as far
// as they said while they are connected.
func (n *Node) runCopies() (stop func()) {
	counts := map[uint8]bool{}
	for _, s := range n.cfg.Sites {
		if s.Counts {
			counts[uint8(s.Node)] = true
		}
	}
	if n.stream == nil || len(counts) == 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		t := time.NewTicker(feedEvery)
		defer t.Stop()
		var list []mirror.Copy
		for {
			for _, p := range n.lanes {
				list = list[:0]
				for _, c := range n.stream.Copies(uint8(p.cfg.ID)) {
					if c.Connected && counts[c.Node] {
						list = append(list, mirror.Copy{Name: c.Name, Received: c.Received, Durable: c.Durable})
					}
				}
				p.replica.Copies.Store(list)
			}
			select {
			case <-t.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}
