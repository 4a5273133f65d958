package mirror

import (
	"fmt"
	"sync/atomic"

	"onebeat/mirror/lane"
	"onebeat/mirror/policy"
)

// EventKind is what happened to a lane on this node.
type EventKind uint8

const (
	EventWord       EventKind = iota // authority changed: A old word, B new word
	EventServing                     // ACTIVE and answering: A epoch
	EventPeer                        // the peer's ring is known: A its incarnation
	EventInSync                      // the standby is in the set: A epoch, B position
	EventAlone                       // going on without the standby: A epoch
	EventRefused                     // something asked was not done: Reason
	EventLogBroken                   // a record is not what was written: A position, B state
	EventDiverged                    // this standby's state has another digest: A position
	EventHandover                    // planned handover began: A successor
	EventRebuild                     // the log was cut below what was applied: A position, B applied
	EventAckTimeout                  // the wait for the standby's ACK ended: A position
	EventCut                         // records were cut off the log and are kept in a file: A position, B bytes
	EventLease                       // the standby is not heard, and policy none waits for it: A epoch
	EventForced                      // went on by an operator's word: A epoch, Reason who and why
	EventNoHistory                   // the state must come from elsewhere: A oldest position of the ring, B its tail, Reason
	EventAdopted                     // it came: A position, B records before it
	EventStandbyOut                  // the standby is quarantined, the lane goes on without it: A epoch, B its tail
	EventPolicy                      // another release policy is in force: Reason
	EventDegraded                    // answers leave before who the policy asks for holds them: A epoch, Reason
	EventRestored                    // they wait for all of them again: A epoch, Reason
	EventRefusing                    // orders are refused (on_timeout = reject): A epoch, Reason
	EventStopped                     // the same, for the operator to decide (on_timeout = stop): A epoch, Reason
	EventAdmitting                   // orders are taken again: A epoch, Reason
	EventLag                         // history is fetched that the writer's ring does not hold: A from, B the writer's tail
	EventFed                         // it came: A from, B to
	EventSalvaged                    // the end of a dead engine's log came: A from, B bytes
	EventLost                        // what a dead engine had let go could not be had: A from, B bytes
)

var eventNames = [...]string{"word", "serving", "peer", "in-sync", "alone", "refused", "log-broken",
	"diverged", "handover", "rebuild", "ack-timeout", "cut", "lease", "forced", "no-history", "adopted", "standby-out",
	"policy", "degraded", "restored", "refusing", "stopped", "admitting",
	"lag", "fed", "salvaged", "lost"}

func (k EventKind) String() string { return eventNames[k] }

// Event is told by the loop to the cold side.
type Event struct {
	TimeNs int64 // CLOCK_MONOTONIC
	Kind   EventKind
	A, B   uint64
	Reason string
}

func (e Event) String() string {
	if e.Reason != "" {
		return e.Reason
	}
	switch e.Kind {
	case EventStandbyOut:
		return fmt.Sprintf("the standby's state has another digest than the log, or its ring is harmed: quarantined in epoch %d, its log ends at %d", e.A, e.B)
	case EventDiverged:
		return fmt.Sprintf("this node's state is not the writer's behind the record that ends at %d: quarantined", e.A)
	case EventLag, EventFed:
		return fmt.Sprintf("from %d to %d", e.A, e.B)
	case EventSalvaged, EventLost:
		return fmt.Sprintf("%d bytes of the log behind %d", e.B, e.A)
	case EventAdopted:
		return fmt.Sprintf("at %d, behind %d records", e.A, e.B)
	case EventWord:
		return fmt.Sprintf("%v -> %v", lane.Word(e.A), lane.Word(e.B))
	case EventPeer:
		return fmt.Sprintf("incarnation %x", e.A)
	}
	return fmt.Sprintf("%d %d", e.A, e.B)
}

// eventSlots is a power of two; a lane changes its role a few times a day.
const eventSlots = 256

// Events is a single-producer, single-consumer ring from the loop to whoever
// logs. A full ring drops the event and counts it: the loop never waits.
type Events struct {
	slots   [eventSlots]Event
	_       [64]byte
	head    atomic.Uint64 // consumer
	_       [56]byte
	tail    atomic.Uint64 // producer
	dropped atomic.Uint64
}

func (q *Events) push(e Event) {
	tail := q.tail.Load()
	if tail-q.head.Load() == eventSlots {
		q.dropped.Add(1)
		return
	}
	q.slots[tail%eventSlots] = e
	q.tail.Store(tail + 1)
}

// Next returns the oldest event; false when there is none.
func (q *Events) Next() (Event, bool) {
	head := q.head.Load()
	if head == q.tail.Load() {
		return Event{}, false
	}
	e := q.slots[head%eventSlots]
	q.head.Store(head + 1)
	return e, true
}

// Dropped returns how many events found the ring full.
func (q *Events) Dropped() uint64 { return q.dropped.Load() }

// Command is what the cold side asks of the loop.
type Command uint32

const (
	CommandNone Command = iota
	// CommandHandover gives the lane to the standby: planned, nothing refused.
	CommandHandover
	// CommandPanic panics in the loop, deferred calls and all: for drills.
	CommandPanic
	// CommandForce makes this node go on from the log it has, on an operator's
	// word: Force.
	CommandForce
	// CommandTerms changes the release policy: ChangeTerms.
	CommandTerms
	commandTaken // the mailbox is being filled
)

// ForceMaxBytes bounds what is kept of an operator's word.
const ForceMaxBytes = 200

// Commands is a mailbox with one place: the loop takes what it finds in its
// next cycle.
type Commands struct {
	pending atomic.Uint32
	by      string // of CommandForce and CommandTerms; handed over by pending
	terms   policy.Terms
	answer  atomic.Pointer[string] // to CommandTerms; "": done
}

// Put leaves a command; false when the last one was not taken yet.
func (c *Commands) Put(cmd Command) bool {
	return c.pending.CompareAndSwap(uint32(CommandNone), uint32(cmd))
}

// Force leaves CommandForce with who says so and why.
func (c *Commands) Force(by string) bool {
	if !c.pending.CompareAndSwap(uint32(CommandNone), uint32(commandTaken)) {
		return false
	}
	c.by = by
	c.pending.Store(uint32(CommandForce))
	return true
}

// ChangeTerms leaves CommandTerms with who says so and why. Answer tells what
// became of it.
func (c *Commands) ChangeTerms(t policy.Terms, by string) bool {
	if !c.pending.CompareAndSwap(uint32(CommandNone), uint32(commandTaken)) {
		return false
	}
	c.by, c.terms = by, t
	c.answer.Store(nil)
	c.pending.Store(uint32(CommandTerms))
	return true
}

// Answer returns why the last ChangeTerms was refused, "" if it was not; false
// while the loop has not looked at it.
func (c *Commands) Answer() (refusal string, ok bool) {
	if p := c.answer.Load(); p != nil {
		return *p, true
	}
	return "", false
}

// waiting is a load of a line that nobody writes between commands.
func (c *Commands) waiting() bool {
	p := Command(c.pending.Load())
	return p != CommandNone && p != commandTaken
}

// take empties the mailbox.
func (c *Commands) take() (cmd Command, by string) {
	cmd, by = Command(c.pending.Load()), c.by
	c.pending.Store(uint32(CommandNone))
	return cmd, by
}
