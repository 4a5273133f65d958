package reader

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"

	"onebeat/bpf"
	"onebeat/mirror/lane"
	"onebeat/mirror/ring"
	"onebeat/mirror/ringfile"
)

// memory is a lane's memory as a node shares it.
type memory struct {
	table       *lane.Table
	authority   *uint64
	ring        *ring.Ring
	incarnation uint64 // 0: the node is just making it
	path        string // a file whose identity is that of the memory
	id          fileID
	unmap       func() error
}

// fileID tells a file from another of its name.
type fileID struct{ device, inode uint64 }

func identify(path string) (fileID, error) {
	st, err := os.Stat(path)
	if err != nil {
		return fileID{}, err
	}
	sys := st.Sys().(*syscall.Stat_t)
	return fileID{sys.Dev, sys.Ino}, nil
}

// openMemory maps what a node shares. errGone: there is nothing now.
func openMemory(c *Config) (*memory, error) {
	m := &memory{path: c.File}
	if c.BPFFS != "" {
		m.path = filepath.Join(c.BPFFS, bpf.RingPin(c.Lane))
	}
	var err error
	if m.id, err = identify(m.path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", m.path, errGone)
	} else if err != nil {
		return nil, err
	}
	var mem []byte
	var sizeBytes int
	if c.BPFFS != "" {
		v, err := bpf.OpenView(c.BPFFS, c.Lane)
		if err != nil {
			return nil, goneOr(err)
		}
		m.table, m.authority, m.unmap = lane.At(v.Lane), lane.WordAt(v.Authority), v.Close
		mem, sizeBytes = v.Ring, v.RingSize()
	} else {
		v, err := ringfile.View(c.File)
		if err != nil {
			return nil, goneOr(err)
		}
		m.table, m.authority, m.unmap = v.Table, v.Authority, v.Close
		mem, sizeBytes = v.Ring, v.RingSize()
	}
	if m.ring, err = ring.New(mem, sizeBytes, &m.table.Tail); err != nil {
		return nil, errors.Join(err, m.unmap())
	}
	m.ring.ShareCuts(&m.table.Cuts)
	m.incarnation = atomic.LoadUint64(&m.table.Config.Incarnation)
	return m, nil
}

func goneOr(err error) error {
	if errors.Is(err, bpf.ErrNotPinned) || errors.Is(err, ringfile.ErrNone) {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return err
}

// current reports whether this is still the memory that the node would share.
func (m *memory) current() bool {
	id, err := identify(m.path)
	return err == nil && id == m.id && m.incarnation != 0 &&
		atomic.LoadUint64(&m.table.Config.Incarnation) == m.incarnation
}

// comfortable reports whether the ring holds a position and will for a while: not
// in the part that is overwritten next.
func (m *memory) comfortable(position uint64) bool {
	tail, size := m.ring.Tail(), uint64(m.ring.SizeBytes())
	return position <= tail && tail-position <= size/4*3
}
