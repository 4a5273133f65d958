package bpf

import (
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// Reasons returns the counters of enum ob_reason summed over CPUs, by name in
// lower case without prefix; zero counters too.
func (k *Kernel) Reasons() (map[string]uint64, error) {
	names, err := reasonNames()
	if err != nil {
		return nil, err
	}
	sums := make(map[string]uint64, len(names))
	var perCPU []uint64
	for value, name := range names {
		if err := k.maps["reasons"].Lookup(value, &perCPU); err != nil {
			return nil, fmt.Errorf("reason %s: %w", name, err)
		}
		for _, n := range perCPU {
			sums[name] += n
		}
	}
	return sums, nil
}

// reasonNames reads the names from the program's own BTF: they exist once, in
// onebeat.h.
func reasonNames() (map[uint32]string, error) {
	spec, err := loadLink()
	if err != nil {
		return nil, err
	}
	var e *btf.Enum
	if err := spec.Types.TypeByName("ob_reason", &e); err != nil {
		return nil, fmt.Errorf("names of reasons: %w", err)
	}
	names := make(map[uint32]string, len(e.Values))
	for _, v := range e.Values {
		if v.Name != "OB_R_NONE" && v.Name != "OB_R_MAX" {
			names[uint32(v.Value)] = strings.ToLower(strings.TrimPrefix(v.Name, "OB_R_"))
		}
	}
	return names, nil
}
