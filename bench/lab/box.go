package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"onebeat/bpf"
)

// Direction is which way frames go, seen from a place.
type Direction string

// Directions.
const (
	Out Direction = "out" // what the place sends
	In  Direction = "in"  // what it would receive
)

// ErrNoBox means that a lab has no fault box in a cable.
var ErrNoBox = errors.New("no fault box in this cable; build the lab with fault boxes")

// boxedCable joins two ends through the box: frames that arrive on one leg
// leave by the other, unless a fault keeps them.
func (l *Lab) boxedCable(a, b end, mtuBytes int) error {
	legs := [2]string{leg(a.place, a.name), leg(b.place, b.name)}
	for i, e := range [2]end{a, b} {
		if err := l.plainCable(e, end{place: Box, name: legs[i]}, mtuBytes); err != nil {
			return err
		}
	}
	for i, e := range [2]end{a, b} {
		if err := l.Do(Box, func() error { return joinLegs(legs[i], legs[1-i], l.boxPin(e.place, e.name, Out)) }); err != nil {
			return fmt.Errorf("fault box between %s and %s: %w", legs[0], legs[1], err)
		}
		// What one end sends is what the other receives.
		other := [2]end{b, a}[i]
		if err := os.Symlink(l.boxPin(e.place, e.name, Out), l.boxPin(other.place, other.name, In)); err != nil {
			return err
		}
	}
	return nil
}

// leg names an end of the box after the NIC at its cable's other end; 15 bytes
// are the most.
func leg(place, nic string) string { return place + "-" + nic }

func (l *Lab) boxPin(place, nic string, d Direction) string {
	return filepath.Join(l.PinDir, Box, leg(place, nic)+"-"+string(d))
}

// joinLegs lets what arrives at one leg leave by the other; it runs in the box.
func joinLegs(from, to, pin string) error {
	arrival, err := netlink.LinkByName(from)
	if err != nil {
		return err
	}
	exit, err := netlink.LinkByName(to)
	if err != nil {
		return err
	}
	box, err := bpf.LoadFault(pin, exit.Attrs().Index)
	if err != nil {
		return err
	}
	// Attached over netlink, the program stays until the NIC goes.
	return errors.Join(netlink.LinkSetXdpFdWithFlags(arrival, box.Program.FD(), unix.XDP_FLAGS_DRV_MODE), box.Close())
}

// Fault opens the fault box that a place's frames pass in a direction.
func (l *Lab) Fault(place, nic string, d Direction) (*bpf.FaultBox, error) {
	if !l.FaultBox {
		return nil, fmt.Errorf("%s of %s: %w", nic, place, ErrNoBox)
	}
	return bpf.ControlFault(l.boxPin(place, nic, d))
}

// SetFault says what becomes of the frames of a place's NIC in a direction.
func (l *Lab) SetFault(place, nic string, d Direction, f bpf.Fault) error {
	box, err := l.Fault(place, nic, d)
	if err != nil {
		return err
	}
	return errors.Join(box.Set(f), box.Close())
}

// Pull takes the carrier from a place's NIC and from the NIC at the cable's
// other end, as a pulled plug does, or gives it back.
func (l *Lab) Pull(place, nic string, out bool) error {
	if !l.FaultBox {
		return fmt.Errorf("%s of %s: %w", nic, place, ErrNoBox)
	}
	other, err := os.Readlink(l.boxPin(place, nic, In))
	if err != nil {
		return fmt.Errorf("%s of %s: %w", nic, place, err)
	}
	far := filepath.Base(other)
	far = far[:len(far)-len("-"+string(Out))]
	return errors.Join(l.SetCarrier(Box, leg(place, nic), !out), l.SetCarrier(Box, far, !out))
}
