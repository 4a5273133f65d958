package mirror

import (
	"fmt"
	"sync/atomic"

	"onebeat/engine/app"
	"onebeat/mirror/internal/mutant"
	"onebeat/mirror/lane"
	"onebeat/mirror/policy"
	"onebeat/mirror/ring"
	"onebeat/mirror/wire"
)

// release is what a lane's outputs wait for. The terms are those of the
// configuration until the log holds a change: from that record on it is the
// log's, on every node that applies it.
type release struct {
	terms    policy.Terms
	revision uint32 // of the change in force; 0: none
	changeAt uint64 // position of its record
	by       string
	policy   policy.Policy
	observer policy.Observer // the policy, if it is one
	wait     *policy.Wait
	ride     bool
	more     bool // the policy looks at more than ACKed tails
	archives bool // at disks, too
	view     policy.View
	seen     seen
	archive  Archive // nil: none
	// own are the digests of what is configured: they cost locks and memory to make.
	own wire.Release

	degradedMark uint64 // end of degraded: who lacked has reached it
	news         bool   // a change was applied and is not told yet
	toldArchive  bool   // that the standby's archive keeps it out
	inForce      atomic.Pointer[InForce]
}

// InForce is what a lane's outputs wait for, for the cold side.
type InForce struct {
	policy.Terms
	Revision uint32 // 0: as configured
	Position uint64 // of the record of its change
	By       string // of the change
}

// InForce returns the terms in force. Any thread may ask.
func (r *Replica) InForce() *InForce { return r.release.inForce.Load() }

// UseArchive gives the replica this node's archive. Before Start.
func (r *Replica) UseArchive(a Archive) { r.release.archive = a }

// useTerms puts terms in force. The policy is made anew, so that it observes
// what follows.
func (r *Replica) useTerms(c *policy.Change, at uint64, nowNs int64) error {
	p, err := policy.New(c.Terms.Policy)
	if err != nil {
		return err
	}
	x := &r.release
	x.policy = p
	x.observer, _ = unbounded(p).(policy.Observer)
	x.terms, x.revision, x.changeAt, x.by = c.Terms, c.Revision, at, c.By
	x.ride = r.cfg.Ride && c.Terms.Rides()
	x.more = c.Terms.Waits() && !c.Terms.Rides()
	x.archives = c.Terms.Archives()
	x.view.CopiesNeeded, x.view.Degraded = int(c.Terms.Copies), false
	if x.wait == nil {
		x.wait = policy.NewWait(c.Terms.WaitNs, c.Terms.OnTimeout)
	}
	x.wait.Change(&c.Terms, nowNs)
	x.inForce.Store(&InForce{Terms: c.Terms, Revision: c.Revision, Position: at, By: c.By})
	return nil
}

// unbounded returns a custom policy itself.
func unbounded(p policy.Policy) policy.Policy {
	if b, ok := p.(policy.Bounded); ok {
		return b.Policy
	}
	return p
}

// startTerms are the configuration's. They are checked when the replica is made.
func (r *Replica) startTerms(nowNs int64) error {
	return r.useTerms(&policy.Change{Terms: r.cfg.Terms}, 0, nowNs)
}

// restartTerms goes back to them: the log is read from its beginning again.
func (r *Replica) restartTerms() {
	if err := r.startTerms(r.progressNs); err != nil {
		panic(fmt.Sprintf("mirror: terms %v worked at the start: %v", r.cfg.Terms, err))
	}
}

// noteChange takes a change that stands in the log. It is said again behind every
// epoch's record, so that a node which begins there learns of it.
func (r *Replica) noteChange(rec *app.Record) {
	var c policy.Change
	if !c.Parse(rec.Payload) {
		return
	}
	x := &r.release
	if c.Revision == x.revision && c.Terms == x.terms {
		return
	}
	was := x.terms
	if err := r.useTerms(&c, rec.Position, r.progressNs); err != nil {
		r.outOfTerms(fmt.Sprintf("the lane changed to %v: %v: install the same program on both nodes; until then this one neither serves nor stands by", c.Terms, err))
		return
	}
	x.news = true
	switch serving := r.word.State() == lane.Active && r.inSync; {
	case serving && was.Waits() != c.Terms.Waits():
		r.changeLease(r.progressNs)
	case serving && r.leaseArms:
		r.policy = policy.Mirrored{} // none again, before the first answer to it
	}
}

// outOfTerms takes a node that does not know the lane's policy out of service:
// promoted, it would answer too early.
func (r *Replica) outOfTerms(reason string) {
	if r.broken {
		return
	}
	r.Events.push(Event{TimeNs: r.progressNs, Kind: EventRefused, Reason: reason})
	r.leaveService()
}

// setTerms is an operator's change. "" means done.
func (r *Replica) setTerms(t *policy.Terms, by string) (refusal string) {
	if refusal = r.refuseTerms(t); refusal != "" {
		return refusal
	}
	c := policy.Change{Terms: *t, Revision: r.newestRevision() + 1, By: by}
	r.ring.SetLimit(^uint64(0)) // as for an epoch: also when the standby lags
	var b [policy.ChangeMaxBytes]byte
	if _, _, ok := r.ring.Append(app.RecordOperator, r.word.Epoch(), r.tailTimeNs(), c.Put(b[:])); !ok {
		return "the ring takes no record"
	}
	return ""
}

// refuseTerms says why a lane cannot change to these terms now.
func (r *Replica) refuseTerms(t *policy.Terms) string {
	if err := t.Check(); err != nil {
		return err.Error()
	}
	known := r.hello.Incarnation != 0 && r.hello.Incarnation == r.table.Config.PeerIncarnation
	archives := t.Archives()
	switch {
	case r.word.State() != lane.Active:
		return fmt.Sprintf("this node is %v: ask the one that is ACTIVE", r.word.State())
	case r.stopIntake:
		return "a handover is under way: ask the node that serves afterwards"
	case r.cfg.Peer == 0 && t.Policy != policy.NameNone && !archives && t.Copies == 0:
		return fmt.Sprintf("%s: this lane has no standby: use none or archived", t.Policy)
	case r.cfg.Peer != 0 && !r.cfg.Registered && t.Waits() && t.Degrades() != r.cfg.Terms.Degrades():
		return "whether a writer may go on alone is what two nodes without a witness or etcd agree on when they start: change on_timeout in both configuration files and restart both nodes"
	case archives && r.release.archive == nil:
		return t.Policy + ": this node has no [archive]"
	case archives && known && !r.hello.Release.Archives:
		return t.Policy + ": the peer has no [archive], or its archive fails (onebeat status)"
	case known && r.hello.Release.Policies != r.release.own.Policies:
		return "the peer's program knows other policies: install the same one on both nodes first"
	}
	return ""
}

// newestRevision is that of the last change in the log: one may be appended and
// not applied yet.
func (r *Replica) newestRevision() uint32 {
	if c, ok := r.newestChange(); ok {
		return c.Revision
	}
	return r.release.revision
}

// newestChange looks at what this node's machine has not applied.
func (r *Replica) newestChange() (c policy.Change, found bool) {
	for position := r.applied; ; {
		rec, next, state := r.ring.Read(position)
		if state != ring.Found {
			return c, found
		}
		if rec.Type == app.RecordOperator && policy.IsChange(rec.Payload) {
			var newer policy.Change
			if newer.Parse(rec.Payload) {
				c, found = newer, true
			}
		}
		position = next
	}
}

// sayTerms puts the change in force into the log again, behind an epoch's record:
// whoever holds that one holds this one.
func (r *Replica) sayTerms() {
	c, found := r.newestChange()
	if !found {
		x := &r.release
		c = policy.Change{Terms: x.terms, Revision: x.revision, By: x.by}
	}
	if c.Revision == 0 {
		return
	}
	var b [policy.ChangeMaxBytes]byte
	r.ring.SetLimit(^uint64(0))
	r.ring.Append(app.RecordOperator, r.word.Epoch(), r.tailTimeNs(), c.Put(b[:]))
}

// AdoptChange puts in force what a machine from elsewhere says was: the payload
// of the last change that it has applied; none: the configuration's terms. Before
// Adopt.
func (r *Replica) AdoptChange(payload []byte) {
	r.restartTerms()
	if len(payload) > 0 {
		r.noteChange(&app.Record{Payload: payload})
	}
}

// releaseSaid is what this node's HELLO says of its policy.
func (r *Replica) releaseSaid() wire.Release {
	x := &r.release
	s := x.own
	s.Changed = x.revision > 0
	if x.archive != nil {
		s.Archived, s.Archives = x.archive.Held(r.ring.Cuts())
	}
	return s
}

// sameTerms compares what two nodes have configured, where their logs say nothing
// else: a file that was not edited since, or was, is no reason to refuse a peer.
func (r *Replica) sameTerms(peer *wire.Release) bool {
	return r.release.revision > 0 || peer.Changed || peer.Terms == r.release.own.Terms
}

// archiveNearBytes is how far a standby's archive may be behind its log when it
// is taken in under a policy that waits for it.
const archiveNearBytes = 1 << 20

// archiveReady keeps a standby out whose archive would make orders wait at once,
// where they wait for it.
func (r *Replica) archiveReady(hello *wire.Hello, nowNs int64) bool {
	x, s := &r.release, &hello.Release
	if !x.archives || s.Archives && s.Archived+archiveNearBytes >= hello.Tail {
		x.toldArchive = false
		return true
	}
	if !s.Archives && !x.toldArchive {
		x.toldArchive = true
		r.tell(EventRefused, nowNs, "the standby has no archive, or it fails: under policy "+x.terms.Policy+" it is not taken in (onebeat status there)")
	}
	return false
}

// Releasable returns the position up to which outputs may be let go now.
func (r *Replica) Releasable() uint64 {
	x := &r.release
	v := &x.view
	v.Tail, v.PeerInSet = r.ring.Tail(), r.inSync
	v.PeerTail = atomic.LoadUint64(&r.table.Peer.Tail)
	if x.more {
		r.viewMore(v)
	}
	if mutant.On(mutant.Early) {
		return policy.Mirrored{}.Releasable(v)
	}
	return x.policy.Releasable(v)
}

// viewMore adds what only the stronger policies look at.
func (r *Replica) viewMore(v *policy.View) {
	x := &r.release
	v.PeerApplied = atomic.LoadUint64(&r.table.Peer.Applied)
	v.PeerArchived = atomic.LoadUint64(&r.table.Peer.Archived)
	v.Archived = 0
	if x.archive != nil && !r.inSync {
		v.Archived, _ = x.archive.Held(r.ring.Cuts())
	}
	r.Copies.load(&x.seen)
	v.Copies, v.CopiesArchived = x.seen.received[:], x.seen.durable[:]
}
