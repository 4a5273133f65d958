package drill

import (
	"onebeat/bench/lab"
	"onebeat/bench/scene"
)

// Faults.
const (
	FaultKill         = "kill"
	FaultStop         = "stop"
	FaultPanicExit    = "panic-exit"
	FaultPower        = "power"
	FaultLink         = "link"
	FaultOrderNIC     = "order-nic"
	FaultOneWay       = "one-way"
	FaultIsolate      = "isolate"
	FaultLoss         = "loss"
	FaultDup          = "dup"
	FaultReorder      = "reorder"
	FaultCorrupt      = "corrupt"
	FaultWitnessDown  = "witness-down"
	FaultEtcdDown     = "etcd-down"
	FaultSlowStandby  = "slow-standby"
	FaultClockJump    = "clock-jump"
	FaultFlap         = "flap"
	FaultHandover     = "handover"
	FaultRejoin       = "rejoin"
	FaultRejoinEmpty  = "rejoin-empty"
	FaultFence        = "fence"
	FaultFenceHangs   = "fence-hangs"
	FaultFenceLies    = "fence-lies"
	FaultActiveActive = "active-active"
	FaultNPlusOne     = "n-plus-one"
	FaultSoak         = "soak"
	FaultNone         = "none"
)

// fault is one way to harm a lane, and what may come of it.
type fault struct {
	name string
	what string // for the report
	// with lists the arbitrations that survive it.
	with []string
	box  bool // the nodes' cables need fault boxes
	// cutOff: the primary may live on without knowing.
	cutOff bool
	// apart: a drill of all leaves it out.
	apart bool
	// lanes of the scene and the lab for them; nil: one lane on two nodes.
	lanes    func(app, lines string) []scene.Lane
	topology lab.Topology
	// course does it: every harm, marked, and every repair.
	course func(*run) error
}

var (
	always = []string{Pair, Links, Witness, Etcd, Fence}
	// onSilence are those with which a host that says nothing is replaced.
	onSilence = []string{Links, Witness, Etcd, Fence}
	// registered are those that decide once when both nodes live.
	registered = []string{Witness, Etcd}
)

// faults in the order of the report.
var faults = []fault{
	{name: FaultKill, with: always, course: (*run).kill,
		what: "SIGKILL to the primary's process"},
	{name: FaultStop, with: always, course: (*run).pause,
		what: "SIGSTOP to the primary's process, later SIGCONT: it wakes up and believes nothing happened"},
	{name: FaultPanicExit, with: always, course: (*run).panicExit,
		what: "the primary's engine panics, deferred calls run, the process exits by itself"},
	{name: FaultPower, with: onSilence, box: true, cutOff: true, course: (*run).power,
		what: "all of the primary's cables and its process at once, for good: the host is gone"},
	{name: FaultLink, with: registered, box: true, cutOff: true, course: (*run).link,
		what: "the cable between the nodes is pulled while both live, later plugged in again"},
	{name: FaultOrderNIC, with: registered, box: true, cutOff: true, course: (*run).orderNIC,
		what: "the primary's order NIC loses its carrier, later has it again"},
	{name: FaultOneWay, with: registered, box: true, cutOff: true, course: (*run).oneWay,
		what: "the cable between the nodes loses everything in one direction, in turn from and to the primary"},
	{name: FaultIsolate, with: registered, box: true, cutOff: true, course: (*run).isolate,
		what: "the primary hears and reaches neither its peer nor the arbiter, but clients still reach it"},
	{name: FaultLoss, with: always, box: true, course: (*run).lossy,
		what: "frames are lost, on the link and on the order NICs, in both directions"},
	{name: FaultDup, with: always, box: true, course: (*run).lossy,
		what: "frames arrive twice, on the link and on the order NICs, in both directions"},
	{name: FaultReorder, with: always, box: true, course: (*run).lossy,
		what: "frames arrive behind later ones, on the link and on the order NICs, in both directions"},
	{name: FaultCorrupt, with: always, box: true, course: (*run).lossy,
		what: "a bit of a frame is flipped, in headers and in what they carry, on the link and on the order NICs"},
	{name: FaultWitnessDown, with: []string{Witness}, course: (*run).arbiterDown,
		what: "the witness dies and comes back without memory; after that the primary is killed"},
	{name: FaultEtcdDown, with: []string{Etcd}, course: (*run).arbiterDown,
		what: "the etcd member dies and comes back; after that the primary is killed"},
	{name: FaultSlowStandby, with: always, course: (*run).slowStandby,
		what: "the standby's process stands still again and again, longer than a heartbeat"},
	{name: FaultClockJump, with: always, course: (*run).clockJump,
		what: "the wall clock of both nodes' processes jumps an hour ahead and back"},
	{name: FaultFlap, with: registered, box: true, cutOff: true, course: (*run).flap,
		what: "the cable between the nodes loses and regains its carrier several times"},
	{name: FaultHandover, with: always, course: (*run).handover,
		what: "planned handover: no order may be refused"},
	{name: FaultRejoin, with: always, course: (*run).rejoin,
		what: "the primary is killed, comes back, is taken in again, and then the new primary is killed"},
	{name: FaultRejoinEmpty, with: always, course: (*run).rejoin,
		what: "as rejoin, but the first one comes back without memory: its ring and its programs are gone"},
	{name: FaultFence, with: []string{Fence}, box: true, cutOff: true, course: (*run).fence,
		what: "the primary is cut off from its peer, but clients still reach it: its power is taken first"},
	{name: FaultFenceHangs, with: []string{Fence}, box: true, cutOff: true, course: (*run).fenceHangs,
		what: "the primary's host is gone, and the fence agent hangs at first"},
	{name: FaultFenceLies, with: []string{Fence}, box: true, cutOff: true, course: (*run).fenceLies,
		what: "the primary is cut off from its peer, whose fence agent says that it took the power, and did not"},
	{name: FaultActiveActive, with: registered, course: (*run).loseNode, lanes: scene.ActiveActive, topology: lab.Switched,
		what: "two lanes with opposite primaries; one node is killed, only its lane moves"},
	{name: FaultNPlusOne, with: registered, course: (*run).loseNode, lanes: scene.NPlusOne, topology: lab.NPlusOne,
		what: "three lanes on two nodes with one shared standby; a node is killed, only its lanes move"},
	{name: FaultSoak, with: []string{Witness}, course: (*run).soak, apart: true,
		what: "kills of either node, full disks and cut files, again and again; another process reads the log"},
	{name: FaultNone, with: always, course: (*run).nothing,
		what: "steady load: nothing may change"},
}

// clients is how many lanes the fault's scene has, a client each.
func (f *fault) clients() int {
	if f.lanes == nil {
		return 1
	}
	return len(f.lanes("", ""))
}

func findFault(name string) (*fault, bool) {
	for i := range faults {
		if faults[i].name == name {
			return &faults[i], true
		}
	}
	return nil, false
}

// Names returns the faults that a drill of all plays, and none.
func Names() []string {
	var names []string
	for i := range faults {
		names = append(names, faults[i].name)
	}
	return names
}
