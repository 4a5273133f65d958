package lane

import (
	"fmt"
	"sync/atomic"
)

// State is what a node is to a lane: the low half of the authority word.
type State uint32

// The numbers are enum ob_state.
const (
	Init State = iota
	Syncing
	Standby
	Candidate
	Active
	Fenced
	stateCount
)

// StateCount is the number of states.
const StateCount = int(stateCount)

var stateNames = [StateCount]string{"INIT", "SYNCING", "STANDBY", "CANDIDATE", "ACTIVE", "FENCED"}

func (s State) String() string {
	if s < stateCount {
		return stateNames[s]
	}
	return fmt.Sprintf("STATE(%d)", uint32(s))
}

// Word is the authority word, epoch<<32 | state. It is the steering decision
// and is changed only by compare-and-swap, by kernel or user space.
type Word uint64

// MakeWord joins an epoch and a state.
func MakeWord(epoch uint32, s State) Word { return Word(uint64(epoch)<<32 | uint64(s)) }

// Epoch returns the high half.
func (w Word) Epoch() uint32 { return uint32(w >> 32) }

// State returns the low half.
func (w Word) State() State { return State(uint32(w)) }

// With returns the word with another state in the same epoch.
func (w Word) With(s State) Word { return MakeWord(w.Epoch(), s) }

func (w Word) String() string { return fmt.Sprintf("%d/%s", w.Epoch(), w.State()) }

// Load reads the word; it pairs with the swaps of kernel, timer and engine.
func Load(p *uint64) Word { return Word(atomic.LoadUint64(p)) }

// Swap changes the word from old to next and reports whether it was old. The
// caller that gets false lost to another writer and must look again.
func Swap(p *uint64, old, next Word) bool {
	return atomic.CompareAndSwapUint64(p, uint64(old), uint64(next))
}
