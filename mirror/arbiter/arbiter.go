package arbiter

import (
	"fmt"

	"onebeat/mirror/lane"
)

// Record is the record of the lane.
type Record = lane.Record

// Proof is why the one who asks may be right: what it knows about the other
// side that cannot change any more.
type Proof uint8

const (
	NoProof Proof = iota
	// Seed: a new lane, and the peer (if there is one) holds nothing of it.
	Seed
	// Sole: the record names no one else, so no one else changed it.
	Sole
	// Writing: the one who asks is ACTIVE in the record's epoch.
	Writing
	// KernelProof: FENCED by the writer's own kernel, or its handover.
	KernelProof
	// Parked: the other member is there, holds no more than this node, and can
	// act in no epoch up to this one again.
	Parked
	// RingGone: the writer's node came back with another ring; the one of the
	// record does not exist any more.
	RingGone
	// Silence: nothing was heard on any link. No proof: see Pair.
	Silence
	// PeerOff: a fence agent says that the peer has no power.
	PeerOff
	// Operator: somebody said in so many words that this node shall go on.
	Operator
	// Left: the other member is quarantined. It said so itself, parked in this epoch
	// in which it is nothing any more, and claims in no other.
	Left
	proofEnd
)

var proofNames = [...]string{"none", "seed", "sole", "writing", "kernel proof", "parked", "ring gone", "silence",
	"peer off", "operator", "left"}

func (p Proof) String() string {
	if p < proofEnd {
		return proofNames[p]
	}
	return fmt.Sprintf("PROOF(%d)", uint8(p))
}

// Request asks to change the record from Current to Next.
type Request struct {
	Self          uint8 // node that asks
	Current, Next Record
	Proof         Proof
	// Boot is the memory that a Seed is meant for: that of the answer which
	// said Unknown. In another one somebody else may have written meanwhile.
	Boot uint64
}

// Answer to a request.
type Answer struct {
	Granted bool
	// Unknown: the register has no record of the lane. It refuses everything but
	// a Seed.
	Unknown bool
	Record  Record // the register now: Next if granted
	// Boot names the memory the register is in: another one after each restart
	// of a witness, always the same in an etcd cluster, 0 with Pair.
	Boot   uint64
	Reason string // of a refusal, with its remedy
	// Again: the refusal is not the last word. A candidate stays one and asks
	// again, as after a fence agent that failed.
	Again bool
}

// Arbiter decides requests. Neither call blocks; a request that is not answered
// may be asked again.
type Arbiter interface {
	// Read asks for the register as it is.
	Read(nowNs int64)
	// Swap asks for a change.
	Swap(r Request, nowNs int64)
	// Poll returns the answer to the last Read or Swap once it is there.
	Poll(nowNs int64) (Answer, bool)
}
