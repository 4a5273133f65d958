package bpf

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// View is a look at what a node has pinned for one lane, alive or dead. Its
// memory is mapped read-only and shared with kernel and node.
type View struct {
	Authority []byte // the lane's authority word
	Lane      []byte // its table
	Ring      []byte // its ring with the slack

	lanes, authority []byte // whole maps, as mapped
}

// ErrNotPinned means that a directory holds no such lane.
var ErrNotPinned = errors.New("nothing is pinned there")

// OpenView opens a lane's maps under a node's pin directory.
func OpenView(dir string, lane int) (*View, error) { return openView(dir, lane, unix.PROT_READ) }

// OpenArchiverView is OpenView for the process that archives the ring: it may
// write to the lane's table.
func OpenArchiverView(dir string, lane int) (*View, error) {
	return openView(dir, lane, unix.PROT_READ|unix.PROT_WRITE)
}

func openView(dir string, lane, tableAccess int) (*View, error) {
	if lane < 0 || lane >= Lanes {
		return nil, fmt.Errorf("lane %d: must be 0 to %d", lane, Lanes-1)
	}
	v := &View{}
	for _, p := range []struct {
		name   string
		mem    *[]byte
		access int
	}{{"map_authority", &v.authority, unix.PROT_READ}, {"map_lanes", &v.lanes, tableAccess}, {RingPin(lane), &v.Ring, unix.PROT_READ}} {
		var err error
		if *p.mem, err = viewMap(filepath.Join(dir, p.name), p.access); err != nil {
			return nil, errors.Join(err, v.Close())
		}
	}
	v.Authority = v.authority[lane*AuthorityBytes : (lane+1)*AuthorityBytes]
	v.Lane = v.lanes[lane*LaneBytes : (lane+1)*LaneBytes]
	return v, nil
}

func viewMap(path string, access int) ([]byte, error) {
	// Opened for writing: the kernel refuses to map what was opened read-only.
	// The mapping itself is read-only, but for an archiver's table.
	m, err := ebpf.LoadPinnedMap(path, nil)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w; is node.bpffs right, and did the node ever run?", path, ErrNotPinned)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	defer m.Close() // the mapping keeps the map
	// Values of mmapable arrays are rounded up to 8 bytes each (array_map.c).
	lengthBytes := int(m.MaxEntries()) * int((m.ValueSize()+7)&^7)
	mem, err := unix.Mmap(m.FD(), 0, lengthBytes, access, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", path, err)
	}
	return mem, nil
}

// RingSize is the size of the ring in bytes, without its slack.
func (v *View) RingSize() int { return len(v.Ring) - RingSlackBytes }

// Close unmaps it.
func (v *View) Close() error {
	var errs []error
	for _, mem := range []*[]byte{&v.authority, &v.lanes, &v.Ring} {
		if *mem != nil {
			errs = append(errs, unix.Munmap(*mem))
			*mem = nil
		}
	}
	v.Authority, v.Lane = nil, nil
	return errors.Join(errs...)
}
