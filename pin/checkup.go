package pin

import "cmp"

// Plan is what a host is meant to run.
type Plan struct {
	Cores      []int    // cores of engine loops
	Interfaces []string // order and link NICs
	LockMemory bool
	// XDP is what probing found out about an interface; none: it was not probed.
	XDP map[string]XDPSupport
}

// XDPSupport is what an interface did when it was tried.
type XDPSupport struct {
	Driver   string `json:"driver"`
	Native   bool   `json:"native"`
	ZeroCopy bool   `json:"zero_copy"`
	// Why says what the kernel answered where something did not work.
	Why string `json:"why,omitempty"`
}

// CheckUp looks at everything this package can change, and some things only an
// operator can, in a fixed order. What cannot be read becomes a finding.
func (h Host) CheckUp(p Plan) []Finding {
	f := h.checkCores(p)
	f = append(f, h.checkSiblings(p)...)
	f = append(f, h.checkClock(), h.checkGovernor(p), h.checkCStates(p))
	f = append(f, h.checkScheduler(p)...)
	f = append(f, h.checkHugepages(), h.checkMemoryWork(), h.checkIRQBalance())
	f = append(f, h.checkKernel()...)
	for _, iface := range p.Interfaces {
		f = append(f, h.checkIRQs(iface, p.Cores)...)
		f = append(f, h.checkNode(iface, p.Cores))
		f = append(f, h.checkNIC(iface, p.XDP)...)
	}
	if p.LockMemory {
		f = append(f, checkMemoryLimit())
	}
	return append(f, checkPreemption())
}

// Worst is the greatest severity among findings.
func Worst(findings []Finding) Severity {
	worst := Note
	for i := range findings {
		worst = max(worst, findings[i].Severity)
	}
	return worst
}

// fileChange is a change of a file of the kernel's, if it has that file and
// another value in it.
func (h Host) fileChange(path, value string) []Change {
	old, err := h.read(path)
	if err != nil || old == "" || cmp.Compare(chosen(old), value) == 0 {
		return nil
	}
	return []Change{{Kind: ChangeFile, Target: path, Old: chosen(old), New: value}}
}
