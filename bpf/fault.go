package bpf

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
)

// Kinds of frames that a Fault concerns, beside those of link frames: bit n is
// link frame type n.
const (
	FaultDatagrams = 1 << 0 // UDP datagrams that are no link frames
	FaultLinkKinds = 1<<30 - 2
	FaultARP       = 1 << 30
	FaultOther     = 1 << 31
	FaultAll       = 1<<32 - 1
)

// FaultScale is what the rates of a Fault are parts of.
const FaultScale = 1_000_000

// Fault is what becomes of the frames of one direction (struct ob_fault).
type Fault struct {
	Kinds   uint32 // frames it concerns; others pass
	Loss    uint32
	Corrupt uint32 // one bit of the headers or of what they carry is flipped
	Twice   uint32
	Hold    uint32 // the frame leaves behind HoldFrames others
	// HoldFrames is 1 to swap neighbours.
	HoldFrames uint32
	Seed       uint64 // of the random numbers; 0: go on with the last ones
}

// FaultCounts is what became of frames so far.
type FaultCounts struct {
	Passed    uint64 `json:"passed"`
	Lost      uint64 `json:"lost"`
	Corrupted uint64 `json:"corrupted"`
	Doubled   uint64 `json:"doubled"`
	Held      uint64 `json:"held"`
	Released  uint64 `json:"released"` // of the held ones
	Failed    uint64 `json:"failed"`   // of the held ones
}

// faultState is struct ob_fault_state.
type faultState struct {
	Random, Slot, Length, Behind, SinceNs, Release, Leaving, Clones uint64

	Counts FaultCounts
}

// FaultBox is one direction of a bad cable: a program for the NIC that frames
// arrive at.
type FaultBox struct {
	Program *ebpf.Program
	rule    *ebpf.Map
	state   *ebpf.Map
}

// Pins of a fault box.
const (
	faultRulePin  = "fault"
	faultStatePin = "fault_state"
)

// LoadFault loads a fault box whose frames leave by the NIC exit of the
// caller's network namespace. What ControlFault needs is pinned under dir, on
// a bpffs, unless dir is empty.
func LoadFault(dir string, exit int) (*FaultBox, error) {
	spec, err := loadFault()
	if err != nil {
		return nil, fmt.Errorf("fault program: %w", err)
	}
	c, err := ebpf.NewCollection(spec)
	if err != nil {
		return nil, fmt.Errorf("load the fault program: %w", err)
	}
	b := &FaultBox{Program: c.DetachProgram("ob_fault"), rule: c.DetachMap("fault"), state: c.DetachMap("fault_state")}
	defer c.Close()
	if err := errors.Join(aim(c, exit), b.Set(Fault{Seed: 1}), b.pin(dir)); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// aim fills the exits, once, twice and three times the same: struct
// bpf_devmap_val {ifindex, egress program}.
func aim(c *ebpf.Collection, exit int) error {
	to := [2]uint32{uint32(exit), uint32(c.Programs["ob_fault_exit"].FD())}
	for i, name := range []string{"fault_once", "fault_twice", "fault_release"} {
		for k := range i + 1 {
			if err := c.Maps[name].Put(uint32(k), to); err != nil {
				return fmt.Errorf("exit %d of the fault program: %w", exit, err)
			}
		}
	}
	return nil
}

func (b *FaultBox) pin(dir string) error {
	if dir == "" {
		return nil
	}
	if err := prepareDir(dir); err != nil {
		return err
	}
	return errors.Join(b.rule.Pin(filepath.Join(dir, faultRulePin)), b.state.Pin(filepath.Join(dir, faultStatePin)))
}

// ControlFault opens a fault box that is in place, by its pins.
func ControlFault(dir string) (*FaultBox, error) {
	rule, err := ebpf.LoadPinnedMap(filepath.Join(dir, faultRulePin), nil)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("fault box %s: %w", dir, ErrNotPinned)
	}
	if err != nil {
		return nil, fmt.Errorf("fault box %s: %w", dir, err)
	}
	state, err := ebpf.LoadPinnedMap(filepath.Join(dir, faultStatePin), nil)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("fault box %s: %w", dir, err), rule.Close())
	}
	return &FaultBox{rule: rule, state: state}, nil
}

// Set replaces what becomes of frames, from the next one on.
func (b *FaultBox) Set(f Fault) error {
	if err := b.rule.Put(uint32(0), f); err != nil {
		return fmt.Errorf("set fault: %w", err)
	}
	return nil
}

// Counts returns what became of frames so far.
func (b *FaultBox) Counts() (FaultCounts, error) {
	var s faultState
	if err := b.state.Lookup(uint32(0), &s); err != nil {
		return FaultCounts{}, fmt.Errorf("counts of a fault box: %w", err)
	}
	return s.Counts, nil
}

// Close gives the descriptors back; an attached program stays on its NIC.
func (b *FaultBox) Close() error {
	return errors.Join(b.Program.Close(), b.rule.Close(), b.state.Close())
}
