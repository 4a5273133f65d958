package xdp

import "errors"

// What a host can be refused for. Every error of this package that an operator
// can do something about is a *Refusal that wraps one of these.
var (
	ErrNoInterface     = errors.New("interface absent")
	ErrInterfaceDown   = errors.New("interface down")
	ErrQueueRange      = errors.New("queue out of range")
	ErrNoNativeXDP     = errors.New("driver without native XDP")
	ErrNoRedirect      = errors.New("no target of XDP redirects")
	ErrNoZeroCopy      = errors.New("no AF_XDP zero-copy")
	ErrMTUTooSmall     = errors.New("MTU too small")
	ErrNoAddress       = errors.New("no such address")
	ErrNoPrivilege     = errors.New("privilege missing")
	ErrKernelTooOld    = errors.New("kernel too old")
	ErrNoAddressFamily = errors.New("address family AF_XDP missing")
	ErrNoMemory        = errors.New("memory limit")
	ErrQueueBusy       = errors.New("queue busy")
	ErrProgramPresent  = errors.New("another XDP program attached")
	ErrNoNeighbour     = errors.New("neighbour does not answer")
	ErrNoRoute         = errors.New("no route on the interface")
	ErrNoEgress        = errors.New("no tc programs on the way out")
)

// Refusal says what is wrong and what to do about it.
type Refusal struct {
	Kind   error // one of the Err… values
	What   string
	Remedy string
}

func (r *Refusal) Error() string { return r.Kind.Error() + ": " + r.What + "; remedy: " + r.Remedy }

// Unwrap makes errors.Is(err, ErrNoInterface) work.
func (r *Refusal) Unwrap() error { return r.Kind }

func refuse(kind error, what, remedy string) error {
	return &Refusal{Kind: kind, What: what, Remedy: remedy}
}
