// Package mutant plants bugs, one for each rule that keeps a lane whole, so that
// tests can show that the simulator and the explorer find them. Nothing but
// their tests plants any; asking is one load and one comparison, in cold code and
// in the Go model of the kernel's only.
package mutant

// Rule is a rule that a planted bug breaks.
type Rule uint8

const (
	None Rule = iota

	// Of the authority.

	// Unasked: a refused candidate goes on as if it had been granted.
	Unasked
	// AnyIncarnation: the set names nodes, not their rings.
	AnyIncarnation
	// UnseenSet: who the register names may claim, whether or not it has the
	// record that took it in.
	UnseenSet
	// AcksOn: who has promoted goes on ACKing as the standby it was.
	AcksOn
	// Unacked: outputs leave before the other member has their record.
	Unacked
	// SeedsBlindly: a writer seeds a register without memory before it has heard
	// the other member.
	SeedsBlindly
	// OldProof: FENCED of an epoch before, whenever it was sent, is taken for proof.
	OldProof
	// FencedUnfenced: a kernel says FENCED of an engine that it has not fenced.
	FencedUnfenced
	// FencesAnyway: a kernel fences its engine without a successor.
	FencesAnyway
	// GateOpen: user space releases without looking at the authority word.
	GateOpen

	// Unleased: policy none goes on although nobody answers.
	Unleased
	// LeaseUnwatched: whether the lease lasts is only looked at when a cycle begins.
	LeaseUnwatched
	// Unfenced: where a peer's power is to be taken first, it is not waited for.
	Unfenced
	// BelievesOff: a fence agent that says that its off succeeded is not asked what
	// the host's power is.
	BelievesOff

	// Early: user space releases what is mirrored, whatever else the policy asks.
	Early

	// Of the rules learnt.

	// Reenters: a parked node becomes a standby again in the epoch it was parked in.
	Reenters
	// LengthDecides: a log is cut to another by its length, not by its epochs.
	LengthDecides
	// Silently: a new epoch is not opened in the log.
	Silently
	// KeepsTail: a rejoining node does not cut its log.
	KeepsTail
	// FollowsOlder: a parked node follows a writer of an older epoch than its own.
	FollowsOlder
	// ParksLate: a parked node claims against a peer that is not parked in its epoch.
	ParksLate
	// OldAppends: a kernel appends what an older epoch sent, whenever it was sent.
	OldAppends
	// ActiveAppends: a writer's kernel appends from the link.
	ActiveAppends
	// OldRides: an ACK of any epoch releases, whenever it was sent.
	OldRides
	// RidesTwice: a ride is let go whatever its output's number.
	RidesTwice
	// RidesUncovered: a ride is let go although its record was refused.
	RidesUncovered
	// ChainsAnyOutput: a standby lets a ride out whatever its output's number.
	ChainsAnyOutput
	// ChainsUncovered: and although its record was refused.
	ChainsUncovered
	// ChainedTwice: the writer does not note what the standby let out.
	ChainedTwice
	// NoReader: a kernel appends beyond what its own reader has applied.
	NoReader
	// FrozenAccuses: a tick that was itself late counts.
	FrozenAccuses
	// DeadAccuses: a kernel promotes although its own engine is dead.
	DeadAccuses
	// TimeFalls: a new writer's lane time is its own clock.
	TimeFalls
	// QuarantineStays: a standby whose state is not the log's stays what it is.
	QuarantineStays
	// QuarantineClaims: it leaves, and claims the lane when that is to be had.
	QuarantineClaims

	// Count is the number of rules.
	Count
)

var names = [Count]string{"none", "unasked", "any incarnation", "unseen set", "acks on", "unacked", "seeds blindly",
	"old proof", "fenced unfenced", "fences anyway", "gate open", "unleased", "lease unwatched",
	"unfenced", "believes off", "early", "reenters", "length decides", "silently", "keeps tail",
	"follows older", "parks late", "old appends", "active appends", "old rides", "rides twice", "rides uncovered",
	"chains any output", "chains uncovered", "chained twice", "no reader", "frozen accuses", "dead accuses", "time falls",
	"quarantine stays", "quarantine claims"}

func (r Rule) String() string { return names[r] }

var planted Rule

// On reports whether the bug is planted.
func On(r Rule) bool { return planted == r }

// Plant plants one bug in place of any other; None takes it out.
func Plant(r Rule) { planted = r }
