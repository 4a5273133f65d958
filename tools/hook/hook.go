package hook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"onebeat/mirror/child"
)

// EventRole is a change of a lane's authority word on this node.
const EventRole = "role"

// EventDiverged: this node's state is not the log's; it is quarantined.
const EventDiverged = "diverged"

// NoLane is the lane of an event that concerns the whole node.
const NoLane = -1

// Event is what a hook is told.
type Event struct {
	Event   string    `json:"event"`
	Node    string    `json:"node"`
	Number  int       `json:"number"`
	Lane    int       `json:"lane"`
	From    string    `json:"from,omitempty"`
	To      string    `json:"to,omitempty"`
	Epoch   uint32    `json:"epoch,omitempty"`
	Why     string    `json:"why,omitempty"` // of a CANDIDATE or FENCED: what made the kernel do it
	Detail  string    `json:"detail,omitempty"`
	Time    time.Time `json:"time"`
	MonoNs  int64     `json:"mono_ns"` // CLOCK_MONOTONIC of the event
	Dropped uint64    `json:"dropped"` // of this hook so far: its queue was full
}

// Config is one hook.
type Config struct {
	Path    string
	Args    []string
	Timeout time.Duration
	// All: every event, not only changes of role and a state that is not the log's.
	All bool
}

// queueMax events wait for one hook.
const queueMax = 64

// Status is what a hook has done.
type Status struct {
	Path    string `json:"path"`
	Runs    uint64 `json:"runs"`
	Failed  uint64 `json:"failed"`  // ended with another status than 0, or did not start
	Killed  uint64 `json:"killed"`  // at its time limit
	Dropped uint64 `json:"dropped"` // events that found the queue full
	Waiting int    `json:"waiting"`
}

// Hook is one program with its queue.
type Hook struct {
	cfg                           Config
	log                           *slog.Logger
	queue                         chan Event
	runs, failed, killed, dropped atomic.Uint64
}

// Hooks are all of a node's.
type Hooks struct {
	hooks  []*Hook
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// Open checks the programs and starts a worker each.
func Open(cfgs []Config, log *slog.Logger) (*Hooks, error) {
	for _, c := range cfgs {
		if err := child.Executable(c.Path); err != nil {
			return nil, fmt.Errorf("hook: %w", err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	hs := &Hooks{cancel: cancel}
	for _, c := range cfgs {
		h := &Hook{cfg: c, log: log, queue: make(chan Event, queueMax)}
		hs.hooks = append(hs.hooks, h)
		hs.done.Go(func() { h.work(ctx) })
	}
	return hs, nil
}

// Tell queues an event for every hook that wants it. It does not block.
func (hs *Hooks) Tell(e Event) {
	for _, h := range hs.hooks {
		if !h.cfg.All && e.Event != EventRole && e.Event != EventDiverged {
			continue
		}
		select {
		case h.queue <- e:
		default:
			if h.dropped.Add(1) == 1 {
				h.log.Error("hook: events are dropped, it does not keep up", "hook", h.cfg.Path)
			}
		}
	}
}

// Status returns what each hook has done.
func (hs *Hooks) Status() []Status {
	var all []Status
	for _, h := range hs.hooks {
		all = append(all, Status{Path: h.cfg.Path, Runs: h.runs.Load(), Failed: h.failed.Load(), Killed: h.killed.Load(),
			Dropped: h.dropped.Load(), Waiting: len(h.queue)})
	}
	return all
}

// Close lets the workers finish what is queued, for at most patience, and kills
// what then still runs.
func (hs *Hooks) Close(patience time.Duration) error {
	for _, h := range hs.hooks {
		close(h.queue)
	}
	timer := time.AfterFunc(patience, hs.cancel)
	hs.done.Wait()
	timer.Stop()
	hs.cancel()
	return nil
}

func (h *Hook) work(ctx context.Context) {
	for e := range h.queue {
		if ctx.Err() != nil {
			h.dropped.Add(1)
			continue
		}
		e.Dropped = h.dropped.Load()
		h.run(ctx, e)
	}
}

func (h *Hook) run(ctx context.Context, e Event) {
	text, err := json.Marshal(e)
	if err != nil {
		panic(fmt.Sprintf("hook: event %+v: %v", e, err)) // plain strings and numbers
	}
	h.runs.Add(1)
	r, err := child.Run(ctx, child.Spec{Path: h.cfg.Path, Args: h.cfg.Args, Stdin: append(text, '\n'),
		Env: environment(&e), Limit: h.cfg.Timeout})
	log := h.log.With("hook", h.cfg.Path, "event", e.Event, "lane", e.Lane, "took", r.Took.Round(time.Millisecond))
	switch {
	case errors.Is(err, child.ErrTimeout):
		h.killed.Add(1)
		log.Warn("hook: killed at its time limit", "limit", h.cfg.Timeout)
	case err != nil:
		h.failed.Add(1)
		log.Warn("hook: failed", "error", err)
	case r.Exit != 0:
		h.failed.Add(1)
		log.Warn("hook: failed", "exit", r.Exit, "output", child.Line(r.Output))
	default:
		log.Debug("hook: done", "output", child.Line(r.Output))
	}
}

func environment(e *Event) []string {
	env := []string{"ONEBEAT_EVENT=" + e.Event, "ONEBEAT_NODE=" + e.Node, "ONEBEAT_LANE=" + strconv.Itoa(e.Lane)}
	if e.Event == EventRole {
		env = append(env, "ONEBEAT_FROM="+e.From, "ONEBEAT_TO="+e.To, "ONEBEAT_EPOCH="+strconv.FormatUint(uint64(e.Epoch), 10))
	}
	return env
}
