package drill

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"onebeat/bench/lab"
	"onebeat/engine/app"
	"onebeat/engine/fixp"
	"onebeat/engine/sbe"
	"onebeat/mirror/archive"
	"onebeat/mirror/lane"
	"onebeat/mirror/reader"
	"onebeat/tools/config"
	"onebeat/tools/node"

	"onebeat/bench/scene"
)

// witness is another process's look at the lane: it follows what is committed on
// one node, whatever happens to that, and keeps which orders it saw.
type witness struct {
	r      *reader.Reader
	cancel context.CancelFunc
	done   chan struct{}
	count  atomic.Uint64

	mu      sync.Mutex
	err     error
	orders  map[uint64]int // how often the log has an order
	epoch   uint32
	last    uint64
	missed  uint64
	first   uint64 // position of the first record
	started bool
	seen    []EpochSeen // rising
}

func startWitnessing(ctx context.Context, r *run) (*witness, error) {
	cfg, err := config.Load(scene.ConfigPath(r.lab, lab.NodeA))
	if err != nil {
		return nil, err
	}
	c, err := node.ReaderConfig(cfg, r.lanes[0].ID)
	if err != nil {
		return nil, err
	}
	w := &witness{done: make(chan struct{}), orders: map[uint64]int{}}
	if w.r, err = reader.Open(c); err != nil {
		return nil, err
	}
	// The run's end ends it, not the course's.
	following, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w.cancel = cancel
	go w.follow(following)
	return w, nil
}

func (w *witness) records() uint64 { return w.count.Load() }

func (w *witness) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// follow reads until it is told to end; records that are nowhere are counted.
func (w *witness) follow(ctx context.Context) {
	defer close(w.done)
	for {
		err := w.r.Follow(ctx, time.Millisecond, w.see)
		var gap *archive.Gap
		if errors.As(err, &gap) {
			w.mu.Lock()
			w.missed += gap.To - gap.From
			w.mu.Unlock()
			err = w.r.Seek(gap.To)
			if err == nil {
				continue
			}
		}
		w.mu.Lock()
		w.err = err
		w.mu.Unlock()
		return
	}
}

func (w *witness) see(rec *app.Record) error {
	w.count.Add(1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.started && rec.Position <= w.last || rec.Epoch < w.epoch {
		return fmt.Errorf("the reader went back: record at %d of epoch %d after %d of %d", rec.Position, rec.Epoch, w.last, w.epoch)
	}
	if !w.started {
		w.first, w.started = rec.Position, true
	}
	w.last, w.epoch = rec.Position, rec.Epoch
	if rec.Type == app.RecordEpoch {
		w.seeEpoch(rec)
	}
	if rec.Type != app.RecordMessage {
		return nil
	}
	if _, _, template, block, ok := fixp.ParseMessage(rec.Payload); ok && template == sbe.TemplateNewOrderSingle {
		w.orders[sbe.AsNewOrderSingle(block).ClOrdID()]++
	}
	return nil
}

func (w *witness) seeEpoch(rec *app.Record) {
	var l lane.Record
	if n := len(w.seen); l.Parse(rec.Payload) && (n == 0 || w.seen[n-1].Epoch < l.Epoch) {
		w.seen = append(w.seen, EpochSeen{l.Epoch, l.Writer, l.Count()})
	}
}

// epochs returns what the log said of them, and whether all of it was read.
func (w *witness) epochs() (seen []EpochSeen, all bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen, w.missed == 0
}

// finish ends it at the log's end.
func (w *witness) finish() error {
	time.Sleep(settle)
	w.cancel()
	<-w.done
	return errors.Join(w.err, w.r.Close())
}

// judge: every acknowledged order was in what was committed. Where records were
// missed, nothing can be said of what they were.
func (w *witness) judge(v *Verdict, logs *Logs, s *Soaked) {
	s.Records, s.Orders, s.LogBytes, s.Laps, s.Missed = w.records(), uint64(len(w.orders)), w.last-w.first, w.r.Laps(), w.missed
	var lost idList
	for i := range logs.Orders {
		if o := &logs.Orders[i]; o.Accepted() && w.orders[o.ClOrdID] == 0 {
			lost.add(o.ClOrdID)
		}
	}
	s.AckedLost = v.AckedLost
	if w.missed == 0 {
		s.AckedLost = max(s.AckedLost, lost.count)
	}
	if lost.count > 0 && w.missed == 0 && s.Policy != PolicyNone {
		v.AckedLost = max(v.AckedLost, lost.count)
		v.problem("%d acknowledged orders were not read from the committed log, among them %v", lost.count, lost.ids)
	}
}
