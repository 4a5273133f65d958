package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Names of the policies that ship.
const (
	NameNone     = "none"
	NameMirrored = "mirrored"
	NameApplied  = "applied"
	NameArchived = "archived"
)

// NameMaxBytes bounds a policy's name with its argument.
const NameMaxBytes = 100

// Errors of names.
var (
	ErrUnknown  = errors.New("no such policy")
	ErrArgument = errors.New("argument of a policy")
)

// maker makes a policy of its own for a lane; argument is what follows the colon
// of "name:argument", "" if there is none.
type maker func(argument string) (Policy, error)

// makers are filled by this package and by Register, before anything runs.
var makers = map[string]maker{
	NameNone:     plain(None{}),
	NameMirrored: plain(Mirrored{}),
	NameApplied:  plain(Applied{}),
	NameArchived: plain(Archived{}),
}

func plain(p Policy) maker {
	return func(argument string) (Policy, error) {
		if argument != "" {
			return nil, fmt.Errorf("%w: %q: it takes none", ErrArgument, argument)
		}
		return p, nil
	}
}

// Register makes a custom policy known by name, for an init function of the
// program: both nodes of a lane must know it. What it releases is bounded by what
// Mirrored would.
func Register(name string, make func(argument string) (Policy, error)) {
	if name == "" || strings.ContainsAny(name, ": \t\n") || makers[name] != nil {
		panic(fmt.Sprintf("policy: %q is no name, or taken", name))
	}
	makers[name] = func(argument string) (Policy, error) {
		p, err := make(argument)
		if err != nil {
			return nil, fmt.Errorf("%w: %q: %w", ErrArgument, argument, err)
		}
		return Bounded{p}, nil
	}
}

// New makes the policy that a configuration or a record names: "name" or
// "name:argument".
func New(text string) (Policy, error) {
	name, argument, _ := strings.Cut(text, ":")
	if makers[name] == nil || len(text) > NameMaxBytes {
		return nil, fmt.Errorf("%w: %q: use %s", ErrUnknown, text, strings.Join(Names(), ", "))
	}
	p, err := makers[name](argument)
	if err != nil {
		return nil, fmt.Errorf("policy %s: %w", name, err)
	}
	return p, nil
}

// shipped are the policies of this package, from the weakest on.
var shipped = []string{NameNone, NameMirrored, NameApplied, NameArchived}

// Names lists the policies: those that ship, then the others by name.
func Names() []string {
	var others []string
	for name := range makers {
		if !slices.Contains(shipped, name) {
			others = append(others, name)
		}
	}
	slices.Sort(others)
	return append(slices.Clone(shipped), others...)
}

// Digest is a hash of the names that this program knows: two nodes with another
// digest are other programs.
func Digest() uint32 { return digest(strings.Join(Names(), "\n")) }

// digest is FNV-1a.
func digest(text string) uint32 {
	h := uint32(2166136261)
	for i := range len(text) {
		h = (h ^ uint32(text[i])) * 16777619
	}
	return h
}
