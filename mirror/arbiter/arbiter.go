package arbiter

import "onebeat/mirror/lane"

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
)

var proofNames = [...]string{"none", "seed", "sole", "writing", "kernel proof", "parked", "ring gone", "silence"}

func (p Proof) String() string { return proofNames[p] }

// Request asks to change the record from Current to Next.
type Request struct {
	Self          uint8 // node that asks
	Current, Next Record
	Proof         Proof
}

// Answer to a request.
type Answer struct {
	Granted bool
	Record  Record // the register now: Next if granted
	Reason  string // of a refusal, with its remedy
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
