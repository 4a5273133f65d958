package mirror

import (
	"fmt"
	"sync/atomic"

	"onebeat/engine/app"
	"onebeat/mirror/arbiter"
	"onebeat/mirror/lane"
	"onebeat/mirror/policy"
	"onebeat/mirror/ring"
	"onebeat/mirror/role"
	"onebeat/mirror/wire"
	"onebeat/xdp"
	"onebeat/xdp/frame"
	"onebeat/xdp/publish"
)

// Config is what a replica is told once.
type Config struct {
	Lane  uint8
	Node  uint8
	Peer  uint8 // 0: no peer
	First bool  // this node seeds a new lane

	// Terms are what outputs wait for until the log says otherwise.
	Terms policy.Terms
	Ride  bool // outputs ride on mirror frames, where the terms let the kernel release
	// ChainPort: those from this local port leave by the standby's order NIC; 0: none.
	ChainPort   uint16
	HeartbeatNs int64
	// Registered: the arbiter keeps the record of the lane (witness, etcd).
	Registered bool

	Shared        [32]byte // link key
	Authenticate  bool
	SchemaVersion uint32
	PolicyFlags   uint16

	Local, Remote frame.Endpoint // of the link, ports alike
	// LinkFrameMax is the longest Ethernet frame the link NIC takes.
	LinkFrameMax int
	// NowNs is CLOCK_MONOTONIC as it is now, for a look at the lease between two
	// steps of a cycle.
	NowNs func() int64
	// Stream: history that the writer's ring no longer holds can be fetched.
	Stream bool
	// SalvageNs is how long a successor waits for the end of a dead engine's log.
	SalvageNs int64
	// StartWallNs is the wall clock when the node started: where a new lane's
	// time begins.
	StartWallNs int64
}

// Memory is the lane's shared memory: the kernel's maps, or a mapped file.
type Memory struct {
	Table     *lane.Table
	Authority *uint64
	Ring      *ring.Ring
	// SetNHKey publishes the payload hash key to whoever checks frames.
	SetNHKey func(*[wire.NHWords]uint32) error
}

// Replica is one node's part in one lane. The engine loop's thread owns it;
// Events and Commands are the cold side's ends.
type Replica struct {
	Events   Events
	Commands Commands
	Cuts     Cuts
	History  History
	// Copies are what further copies of the log hold.
	Copies Copies
	// Feed brings what the peer's frames do not.
	Feed Feed

	cfg       Config
	table     *lane.Table
	authority *uint64
	word      lane.Word // as of the last Observe or own change
	ring      *ring.Ring
	link      *Link
	second    second
	setNHKey  func(*[wire.NHWords]uint32) error
	nh        [wire.NHWords]uint32

	role    *role.Machine
	arbiter arbiter.Arbiter

	sender
	successor
	cutter
	feeder
	salvage
	lease
	release
	holding
	degrading
	inSync     bool // the standby is in the set: its ACK counts
	mirroring  bool // new bytes are sent to the peer
	lifeNs     int64
	nextTickNs int64
	stopIntake bool // planned handover
	quit       atomic.Bool

	applied    uint64
	following  bool   // applied moved by reading, and the kernel is to be told
	records    uint64 // published with the progress
	lastTimeNs int64
	epochAt    uint64 // where the newest epoch record begins
	// epochRecord is the payload of the one being written: as a local variable
	// it would escape to the heap.
	epochRecord [lane.RecordBytes]byte
	broken      bool
	lost        bool        // the role machine is to be told that this node has no state
	settle      func() bool // OnClaim
	diverged    bool        // broken for good: its state is not the writer's
	rebuild     bool

	hello        wire.Hello // the peer's last
	helloCounter uint64
	helloIncarn  uint64
	helloFrom    [6]byte // MAC that the last one came from
	peerHello    uint64  // counter of the last HELLO of the ring whose keys are set
	freshFrom    uint64  // TxCounter when they were set, or the process began
	goneOnFrom   uint64  // TxCounter when this writer last went on in a new epoch, mostly alone
	helloDue     bool
	saidTail     uint64 // end of the log as the last HELLO said it
	helloRefused uint64
	mismatch     uint64 // incarnation of a peer that was told so
	refusedAt    uint64
	newest       lane.Record // last epoch record of a log that is caught up
	announce     int
	announceNs   int64
	progressNs   int64
	warmed       byte // makes the compiler load what Warm touches
}

// How often a writer looks whether the register still has its record: often
// enough to seed a restarted witness before it is needed.
const (
	readHeartbeats = 8
	readAtLeastNs  = 100_000_000
)

// New makes the replica over shared memory that Open has prepared. link is nil
// without a peer.
func New(cfg Config, mem Memory, link xdp.Port, arb arbiter.Arbiter) (*Replica, error) {
	incarnation := mem.Table.Config.Incarnation
	if incarnation == 0 {
		return nil, fmt.Errorf("lane %d: its ring has no incarnation", cfg.Lane)
	}
	r := &Replica{
		cfg: cfg, table: mem.Table, authority: mem.Authority, ring: mem.Ring, setNHKey: mem.SetNHKey,
		lifeNs: cfg.HeartbeatNs / 4, arbiter: arb, lease: lease{leaseUntilNs: noLease},
		role: newRole(&cfg, incarnation),
	}
	r.second.nextNs = noSecond
	if err := cfg.Terms.Check(); err != nil {
		return nil, fmt.Errorf("lane %d: %w", cfg.Lane, err)
	}
	r.release.own = wire.Release{Terms: cfg.Terms.Digest(), Policies: policy.Digest()}
	if err := r.startTerms(0); err != nil {
		return nil, fmt.Errorf("lane %d: %w", cfg.Lane, err)
	}
	if cfg.Peer != 0 {
		r.link = newLink(&cfg, mem.Table, link)
		r.freshFrom = mem.Table.Engine.TxCounter
		if known := mem.Table.Config.PeerIncarnation; known != 0 {
			r.setKeys(known, false)
		}
	}
	return r, nil
}

func newRole(cfg *Config, incarnation uint64) *role.Machine {
	return role.New(role.Config{
		Self: lane.Member{Node: cfg.Node, Incarnation: incarnation}, PeerNode: cfg.Peer,
		First: cfg.First, AgainNs: cfg.HeartbeatNs,
		Registered: cfg.Registered, ReadNs: max(readHeartbeats*cfg.HeartbeatNs, readAtLeastNs),
	})
}

func newLink(cfg *Config, table *lane.Table, port xdp.Port) *Link {
	l := &Link{port: port, table: table, id: cfg.Lane, local: cfg.Local, remote: cfg.Remote,
		payloadMax: min(wire.PayloadMaxBytes, cfg.LinkFrameMax-linkHeaderBytes)}
	low, high := min(cfg.Node, cfg.Peer), max(cfg.Node, cfg.Peer)
	keys := wire.DeriveKeys(cfg.Shared, cfg.Lane, low, high, 0, 0)
	tx, rx := keys.For(cfg.Node, low)
	l.base = wire.Auth{Enabled: cfg.Authenticate, Sip: tx, NH: &keys.NH}
	l.baseRx = wire.Auth{Enabled: cfg.Authenticate, Sip: rx, NH: &keys.NH}
	return l
}

// startReserveBytes hold what a process may append before it has read its ring.
const startReserveBytes = 2 * ring.MaxRecordBytes

// Start looks at what an earlier process left in the shared memory and takes
// the lane's first steps. nowNs is CLOCK_MONOTONIC, as everywhere.
func (r *Replica) Start(nowNs int64) {
	r.progress(nowNs)
	r.word = lane.Load(r.authority)
	r.table.SetCommit(lane.CommitPosition)
	record, epoch := r.newestRecord()
	r.newest = record
	// A claim may append before this process has read anything.
	hollow := r.ring.Oldest() != 0 || r.ring.Tail()+startReserveBytes > uint64(r.ring.SizeBytes())
	if hollow {
		r.lackState("the ring no longer holds the beginning of its log", nowNs)
	}
	r.step(role.Event{Kind: role.Start, Word: r.word, Why: lane.Why(r.table.Watch.CandidateWhy),
		Record: record, Tail: r.ring.Tail(), LastEpoch: epoch, Hollow: hollow}, nowNs)
}

// Observe takes in what the kernel, the clock and the operator did since the
// last cycle, and returns this node's state in the lane.
func (r *Replica) Observe(nowNs int64) lane.State {
	if w := lane.Load(r.authority); w != r.word {
		r.newWord(r.word, w)
		r.step(role.Event{Kind: role.WordChanged, Word: w, Why: lane.Why(atomic.LoadUint64(&r.table.Watch.CandidateWhy))}, nowNs)
	}
	if r.lost {
		r.lost = false
		r.step(role.Event{Kind: role.StateLost}, nowNs)
	}
	if r.Commands.waiting() {
		r.command(nowNs)
	}
	if r.word.State() == lane.Candidate {
		r.answers(nowNs) // orders wait for it
	} else if r.feeding {
		r.stepFeed(nowNs)
	}
	r.keepLease(nowNs)
	if nowNs >= r.nextTickNs {
		r.tick(nowNs)
	}
	return r.word.State()
}

// command does what an operator asks.
func (r *Replica) command(nowNs int64) {
	switch cmd, by := r.Commands.take(); cmd {
	case CommandHandover:
		r.event(EventHandover, uint64(r.cfg.Peer), 0)
		r.step(role.Event{Kind: role.HandoverRequested}, nowNs)
	case CommandForce:
		r.step(role.Event{Kind: role.Forced, By: by}, nowNs)
	case CommandTerms:
		refusal := r.setTerms(&r.Commands.terms, by)
		r.Commands.answer.Store(&refusal)
	case CommandPanic:
		panic("mirror: asked to panic, for a drill")
	}
}

// tick is the slow side of the cycle, a few times per heartbeat.
func (r *Replica) tick(nowNs int64) {
	r.nextTickNs = nowNs + r.lifeNs
	r.step(role.Event{Kind: role.Tick, Silent: r.silent(), Sent: r.table.Engine.TxCounter,
		Echoed: atomic.LoadUint64(&r.table.Peer.Echo)}, nowNs)
	r.answers(nowNs)
	if r.cutting {
		r.stepCut(nowNs)
	}
	if r.news && !r.Behind() {
		r.news = false // an old change that is read again at a start is none
		r.tell(EventPolicy, nowNs, policy.Change{Terms: r.terms, Revision: r.revision, By: r.by}.String())
	}
	if r.word.State() == lane.Active {
		r.watchStandby(nowNs)
	} else {
		r.degrading.lacking = 0
	}
	if r.cfg.Peer == 0 {
		return
	}
	r.watchSuccessor(nowNs)
	switch r.word.State() {
	case lane.Active:
	case lane.Standby:
		r.sendProbe()
	default:
		r.sendProbe() // a HELLO passes the peer's kernel by: parked is not silent
		r.helloDue = true
	}
	if r.helloDue {
		r.sendHello()
	}
	r.link.kick()
}

// silent reports whether the peer said nothing for a whole heartbeat, counted in
// on-time ticks by the kernel.
func (r *Replica) silent() bool {
	return atomic.LoadUint32(&r.table.Watch.SilentTicks) >= r.table.Config.SilenceTicks
}

// watchStandby ends the wait for a standby that does not ACK, and opens the
// epoch again in the log before its record leaves the ring.
func (r *Replica) watchStandby(nowNs int64) {
	tail := r.ring.Tail()
	if tail-r.epochAt > uint64(r.ring.SizeBytes())/2 {
		record := r.role.Record()
		r.appendEpoch(&record)
		r.sayTerms()
	}
	r.watchHolders(nowNs)
}

// Progress publishes that the loop is alive, every few microseconds: a store
// each cycle would cost the kernel's reader 100 ns a frame.
func (r *Replica) Progress(nowNs int64) {
	if nowNs-r.progressNs >= progressEveryNs {
		r.progress(nowNs)
	}
}

const progressEveryNs = 20_000

func (r *Replica) progress(nowNs int64) {
	r.progressNs = nowNs
	e := &r.table.Engine
	publish.Uint64(&e.ProgressNs, uint64(nowNs))
	publish.Uint64(&e.Records, r.records)
	if r.following {
		r.following = false
		publish.Uint64(&e.Applied, r.applied)
	}
}

// Append writes one input to the log and fills in the record it became. Its
// bytes leave with the next Send.
func (r *Replica) Append(typ app.RecordType, laneNs int64, payload []byte, rec *app.Record) (end uint64, ok bool) {
	epoch := r.word.Epoch()
	position, end, ok := r.ring.Append(typ, epoch, laneNs, payload)
	if !ok {
		return 0, false
	}
	r.applied, r.lastTimeNs = end, laneNs
	r.records++
	rec.Position, rec.TimeNs, rec.Epoch, rec.Type, rec.Payload = position, laneNs, epoch, typ, payload
	if r.observer != nil {
		r.observer.Observe(rec, end)
	}
	return end, true
}

// Warm brings the memory that the next records go to close to this core.
func (r *Replica) Warm() { r.warmed = r.ring.Warm() }

// Room returns how many bytes the log can grow before it would overwrite what
// the standby lacks.
func (r *Replica) Room() uint64 {
	held := r.ring.Tail()
	if r.inSync {
		held = min(held, atomic.LoadUint64(&r.table.Peer.Tail))
	}
	r.ring.SetLimit(held + uint64(r.ring.SizeBytes()))
	return r.ring.Room()
}

// Released notes that outputs of records up to position were let go.
func (r *Replica) Released(position uint64) {
	if position > r.table.Engine.Released {
		publish.Uint64(&r.table.Engine.Released, position)
	}
	r.table.Engine.Outputs++
}

// IntakeStopped reports whether no orders may be taken: a handover drains, or
// the standby is lost and the lane is configured to wait with new orders, or is
// not heard and nothing but its silence protects what it would do (policy none).
func (r *Replica) IntakeStopped() bool { return r.stopIntake || r.leaseOut || !r.wait.Admits() }

// Claiming reports whether order frames shall wait in their sockets.
func (r *Replica) Claiming() bool { return r.word.State() == lane.Candidate }

// Drained is told by the loop once a stopped intake has nothing unreleased. The
// lane is given up for good then, so the standby must have been heard just now.
func (r *Replica) Drained(nowNs int64) {
	if r.stopIntake && r.Releasable() == r.ring.Tail() && r.successorReady(nowNs) {
		r.step(role.Event{Kind: role.Drained}, nowNs)
		r.link.kick()
	}
}

// Draining reports whether the loop shall say when it is drained.
func (r *Replica) Draining() bool { return r.stopIntake }

// LastTimeNs returns the lane time of the last record, 0 for an empty log.
func (r *Replica) LastTimeNs() int64 { return r.lastTimeNs }

// TakeRebuild reports, once, that the machine must start anew and replay the
// log: records it had applied were cut off.
func (r *Replica) TakeRebuild() bool {
	t := r.rebuild
	r.rebuild = false
	return t
}

// Quit reports whether the process shall end. Any thread may ask.
func (r *Replica) Quit() bool { return r.quit.Load() }

// Record returns the record of the lane as this node knows it. For the loop's
// thread.
func (r *Replica) Record() lane.Record { return r.role.Record() }

// InSync reports whether the standby's ACK is waited for.
func (r *Replica) InSync() bool { return r.inSync }

// Records returns how many records this process appended or applied.
func (r *Replica) Records() uint64 { return r.records }

// Word returns the authority word as of the last Observe.
func (r *Replica) Word() lane.Word { return r.word }

// Counters calls visit for what the replica counted. For the loop's thread.
func (r *Replica) Counters(visit func(name string, count uint64)) {
	visit("mirror_resends", r.resends)
	visit("mirror_rides", r.rides)
	visit("mirror_hello_refused", r.helloRefused)
	visit("mirror_cuts", r.cuts)
	visit("mirror_cut_bytes", r.cutSize)
	visit("catchup_feeds", r.feeds)
	visit("catchup_failed", r.feedFails)
	visit("catchup_bytes", r.fed)
	visit("salvage_times", r.salvages)
	visit("salvage_bytes", r.salvaged)
	visit("salvage_lost_bytes", r.lostBytes)
	visit("events_dropped", r.Events.Dropped())
	visit("policy_changes", uint64(r.revision))
	visit("policy_timeouts", r.wait.Timeouts())
	visit("policy_degraded", r.degrading.times)
	visit("policy_refusing", r.degrading.refusals)
	if r.link != nil {
		visit("link_tx_full", r.link.full)
		visit("second_sent", r.second.sent)
		visit("second_tx_full", r.second.full)
	}
	if remote, ok := r.arbiter.(arbiter.Remote); ok {
		remote.Counters(visit)
	}
}

func (r *Replica) event(kind EventKind, a, b uint64) {
	r.Events.push(Event{TimeNs: r.progressNs, Kind: kind, A: a, B: b})
}
