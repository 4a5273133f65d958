package mirror

import (
	"sync/atomic"

	"onebeat/engine/app"
	"onebeat/mirror/arbiter"
	"onebeat/mirror/internal/mutant"
	"onebeat/mirror/lane"
	"onebeat/mirror/ring"
	"onebeat/mirror/role"
	"onebeat/mirror/wire"
)

// step feeds the role machine and carries out what it wants, and what follows
// from that. Cold: a lane changes its role a few times a day.
func (r *Replica) step(e role.Event, nowNs int64) {
	for {
		failed := false
		for _, effect := range r.role.Step(e, nowNs) {
			if !r.perform(&effect, nowNs) {
				failed = true
				break
			}
		}
		if failed {
			r.newWord(r.word, lane.Load(r.authority))
			e = role.Event{Kind: role.SwapFailed, Word: r.word, Why: lane.Why(atomic.LoadUint64(&r.table.Watch.CandidateWhy))}
			continue
		}
		if !r.role.Waiting() || r.holds(nowNs) {
			return
		}
		answer, ok := r.arbiter.Poll(nowNs)
		if !ok {
			return
		}
		e = r.answered(answer)
	}
}

func (r *Replica) answered(a arbiter.Answer) role.Event {
	return role.Event{Kind: role.Answered, Answer: a, Sent: r.table.Engine.TxCounter}
}

// answers feeds what a slow arbiter said meanwhile.
func (r *Replica) answers(nowNs int64) {
	if r.holds(nowNs) {
		return
	}
	if answer, ok := r.arbiter.Poll(nowNs); ok {
		r.step(r.answered(answer), nowNs)
	}
}

// perform carries out one effect; false when the authority word was not what
// the role machine took it for.
func (r *Replica) perform(e *role.Effect, nowNs int64) bool {
	switch e.Kind {
	case role.SetWord:
		return r.setWord(e.From, e.To, nowNs)
	case role.StandbyOut:
		r.event(EventStandbyOut, uint64(r.word.Epoch()), r.hello.Tail)
	case role.Ask:
		if r.word.State() == lane.Candidate && !r.settled() {
			return true // it is parked: the next look at the word tells
		}
		r.arbiter.Swap(e.Request, nowNs)
	case role.Read:
		r.arbiter.Read(nowNs)
	case role.AppendEpoch:
		r.appendEpoch(&e.Record)
		r.sayTerms()
	case role.AppendOperator:
		r.appendOperator(e.Reason, nowNs)
	case role.StartServing:
		r.stopIntake = false
		r.view.Degraded = false
		r.wait.Reset(nowNs)
		r.event(EventServing, uint64(r.word.Epoch()), 0)
	case role.StopIntake:
		r.stopIntake = true
	case role.ResumeIntake:
		r.stopIntake = false
	case role.StopServing:
		r.stopIntake, r.inSync, r.mirroring = false, false, false
		r.startLease(nowNs)
	case role.SendFenced:
		r.sendFenced(e.Successor)
	case role.AcceptStandby:
		r.inSync, r.mirroring = true, true
		r.wait.Reset(nowNs)
		r.startSending(min(r.hello.Tail, r.ring.Tail()), nowNs)
		r.table.SetCommit(lane.CommitPeer)
		r.startLease(nowNs)
		r.event(EventInSync, uint64(r.word.Epoch()), r.sent)
	case role.GoAlone:
		r.inSync, r.mirroring = false, false
		r.table.SetCommit(lane.CommitTail)
		if r.more && r.wait.Degrades() && r.heldWithout(false) <= r.wait.Releasable() {
			r.goWithoutHolders(nowNs) // they owe what the standby owed, and were waited for just as long
		}
		r.wait.Reset(nowNs)
		r.startLease(nowNs)
		r.event(EventAlone, uint64(r.word.Epoch()), 0)
	case role.CatchUp:
		r.catchUp(e.Position, nowNs)
	case role.Refuse:
		r.Events.push(Event{TimeNs: nowNs, Kind: EventRefused, Reason: e.Reason})
	case role.Announce:
		r.announce = announceRepeats
	case role.Quit:
		r.quit.Store(true)
	}
	return true
}

// announceRepeats is how often a promotion announces the lane address, one per tick:
// a switch or a client may miss one.
const announceRepeats = 3

// TakeAnnounce reports whether the loop shall announce the lane address now.
func (r *Replica) TakeAnnounce(nowNs int64) bool {
	if r.announce == 0 || nowNs < r.announceNs {
		return false
	}
	r.announce--
	r.announceNs = nowNs + r.cfg.HeartbeatNs
	return true
}

// setWord swaps the authority word. Around ACTIVE the link program must be
// outside: it marks itself busy before it reads the word, so once busy was seen
// clear behind a word, nothing acts on an older one any more. Before it, no append
// of the CANDIDATE's is under way when the tail is read; after it, no ride of the
// epoch before is being released when user space takes the outputs over.
func (r *Replica) setWord(from, to lane.Word, nowNs int64) bool {
	if to.State() == lane.Active {
		r.progress(nowNs) // the kernel must not take the new writer for hung
		r.untilOutside()
		if record := r.role.Record(); record.Count() > 1 {
			r.table.SetCommit(lane.CommitPosition) // until the standby ACKs what is appended from here on
		}
	}
	if to.State() == lane.Standby {
		// The kernel appends from now on, as far as this reader has got, and counts the
		// writer's outputs.
		atomic.StoreUint64(&r.table.NextOutput, 0)
		atomic.StoreUint64(&r.table.Engine.Applied, r.applied)
		// What an earlier writer had released is in this log, or is lost for good.
		atomic.StoreUint64(&r.table.Peer.Released, 0)
	}
	if !lane.Swap(r.authority, from, to) {
		return false
	}
	if to.State() == lane.Active {
		atomic.StoreUint64(&r.table.Peer.Released, 0)
		r.untilOutside()
	}
	r.newWord(from, to)
	return true
}

// newWord notes a change of authority. Who was anything but SYNCING may hold what
// the next writer does not.
func (r *Replica) newWord(from, to lane.Word) {
	r.word = to
	if from.State() != lane.Syncing {
		r.prefixOf = 0
	}
	if from.State() == lane.Active && to.State() == lane.Active {
		r.goneOnFrom = r.table.Engine.TxCounter
	}
	switch to.State() {
	case lane.Standby:
		r.table.SetCommit(lane.CommitTail)
	case lane.Syncing, lane.Fenced:
		r.table.SetCommit(lane.CommitPosition)
	}
	r.event(EventWord, uint64(from), uint64(to))
}

// untilOutside waits for the link program, which is inside for a microsecond.
func (r *Replica) untilOutside() {
	for atomic.LoadUint64(&r.table.Busy) != 0 {
	}
}

// appendEpoch opens the epoch in the log, or says again which it is. The loop
// applies it like any record.
func (r *Replica) appendEpoch(record *lane.Record) {
	if mutant.On(mutant.Silently) {
		return
	}
	b := r.epochRecord[:]
	record.Put(b)
	laneNs := r.tailTimeNs()
	if laneNs == 0 {
		laneNs = r.cfg.StartWallNs
	}
	r.ring.SetLimit(^uint64(0)) // an epoch is opened even if the standby lags
	r.epochAt, _, _ = r.ring.Append(app.RecordEpoch, record.Epoch, laneNs, b)
}

// appendOperator keeps an operator's word in the lane's history.
func (r *Replica) appendOperator(by string, nowNs int64) {
	r.ring.SetLimit(^uint64(0))
	r.ring.Append(app.RecordOperator, r.word.Epoch(), r.tailTimeNs(), []byte(by[:min(len(by), ForceMaxBytes)]))
	r.Events.push(Event{TimeNs: nowNs, Kind: EventForced, A: uint64(r.word.Epoch()), Reason: by})
}

// tailTimeNs returns the time of the last record of the log: of those that this
// node's machine has not applied yet, or of the last one it has.
func (r *Replica) tailTimeNs() int64 {
	timeNs := r.lastTimeNs
	for position := r.applied; ; {
		rec, next, state := r.ring.Read(position)
		if state != ring.Found {
			return timeNs
		}
		timeNs, position = max(timeNs, rec.TimeNs), next
	}
}

// newestRecord finds the last epoch record in the ring.
func (r *Replica) newestRecord() (record lane.Record, lastEpoch uint32) {
	lastEpoch = r.ring.LastEpoch()
	r.ring.Scan(r.ring.Oldest(), r.ring.Tail(), func(rec *app.Record) bool {
		if rec.Type == app.RecordEpoch {
			record.Parse(rec.Payload)
		}
		return true
	})
	return record, lastEpoch
}

// sendFenced tells the successor that this writer is through: a planned
// handover, or the word of a kernel that had no frame to say it with.
func (r *Replica) sendFenced(successor uint8) {
	if r.link == nil {
		return
	}
	h := wire.Header{Type: wire.Fenced, Epoch: r.word.Epoch(), Authority: r.word,
		Successor: uint32(successor), Tail: r.ring.Tail(), Applied: r.table.Engine.Released}
	if b := r.link.reserve(); b != nil { // else repeated by the role machine
		r.link.header = h
		r.link.submit(b, 0, &r.link.tx)
		r.link.kick()
	}
	r.sendSecond(&h)
}
