package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"onebeat/bpf"
	"onebeat/mirror/lane"
	"onebeat/mirror/ring"
	"onebeat/mirror/ringfile"
	"onebeat/mirror/stream"
	"onebeat/tools/config"
)

// Pinned is a lane of a node on this host as it lies in memory, whether the node
// lives or not: what a daemon beside it serves and archives.
type Pinned struct {
	stream.Lane
	Table       *lane.Table
	Authority   *uint64
	Incarnation uint64
	// Writable: the archiver's part of the table may be written.
	Writable bool

	path  string // whose identity is that of the memory
	id    os.FileInfo
	close func() error
}

// ErrNotPinned means that a node's host has no memory of a lane now.
var ErrNotPinned = errors.New("the lane is not in memory")

// OpenPinned opens a lane's memory: pinned maps, or a ring file. Nothing of the
// node's is written.
func OpenPinned(cfg *config.Config, laneID int) (*Pinned, error) {
	l := cfg.Lane(laneID)
	if l == nil {
		return nil, fmt.Errorf("%w: %d", ErrNoLane, laneID)
	}
	p := &Pinned{Lane: stream.Lane{ID: uint8(laneID), Peer: uint8(l.Peer)}, path: filePath(cfg, laneID)}
	if cfg.Node.Transport == config.TransportXDP {
		p.path = filepath.Join(cfg.Node.BPFFS, bpf.RingPin(laneID))
	}
	var err error
	if p.id, err = os.Stat(p.path); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotPinned, err)
	}
	mem, sizeBytes, err := p.open(cfg, laneID)
	if errors.Is(err, bpf.ErrNotPinned) || errors.Is(err, ringfile.ErrNone) {
		return nil, fmt.Errorf("%w: %w", ErrNotPinned, err)
	} else if err != nil {
		return nil, err
	}
	if p.Ring, err = ring.New(mem, sizeBytes, &p.Table.Tail); err != nil {
		return nil, errors.Join(err, p.close())
	}
	p.Ring.ShareCuts(&p.Table.Cuts)
	if p.Incarnation = atomic.LoadUint64(&p.Table.Config.Incarnation); p.Incarnation == 0 {
		return nil, errors.Join(fmt.Errorf("%w: the node is just making it", ErrNotPinned), p.close())
	}
	p.Look = stream.TableView(p.Table, p.Authority)
	return p, nil
}

func (p *Pinned) open(cfg *config.Config, laneID int) (mem []byte, sizeBytes int, err error) {
	if cfg.Node.Transport == config.TransportUDP {
		f, err := ringfile.View(p.path)
		if err != nil {
			return nil, 0, err
		}
		p.Table, p.Authority, p.close = f.Table, f.Authority, f.Close
		return f.Ring, f.RingSize(), nil
	}
	v, err := bpf.OpenArchiverView(cfg.Node.BPFFS, laneID)
	if err != nil {
		return nil, 0, err
	}
	p.Table, p.Authority, p.Writable, p.close = lane.At(v.Lane), lane.WordAt(v.Authority), true, v.Close
	return v.Ring, v.RingSize(), nil
}

// Current reports whether this is still the memory that the node uses: not one
// that was cleaned up, or begun anew.
func (p *Pinned) Current() bool {
	id, err := os.Stat(p.path)
	return err == nil && os.SameFile(id, p.id) && atomic.LoadUint64(&p.Table.Config.Incarnation) == p.Incarnation
}

// Close unmaps it; whoever reads it must have ended.
func (p *Pinned) Close() error { return p.close() }
