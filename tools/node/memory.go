package node

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/edsrzf/mmap-go"

	"onebeat/bpf"
	"onebeat/mirror/lane"
	"onebeat/mirror/ring"
	"onebeat/tools/config"
)

// shared is a lane's memory, wherever it comes from.
type shared struct {
	table     *lane.Table
	authority *uint64
	ringMem   []byte
	fresh     bool // nothing of an earlier process is in it
}

// open makes fresh memory a ring of its own, with an incarnation, or adopts
// what an earlier process left.
func (s *shared) open(ringBytes int) (*ring.Ring, error) {
	if s.fresh || s.table.Config.Incarnation == 0 {
		*s.table = lane.Table{}
		*s.authority = 0
		clear(s.ringMem)
		incarnation, err := newIncarnation()
		if err != nil {
			return nil, err
		}
		s.table.Config.Incarnation = incarnation
	}
	s.clearBusy()
	r, err := ring.New(s.ringMem, ringBytes, &s.table.Tail)
	if err != nil {
		return nil, err
	}
	r.ShareCuts(&s.table.Cuts)
	r.EndCut()
	return r, nil
}

// busyTimeout is far longer than a program is ever inside.
const busyTimeout = 10 * time.Millisecond

// clearBusy takes back the locks of a process that was killed while it exchanged
// the keys. The kernel's own hold ends by itself.
func (s *shared) clearBusy() {
	deadline := time.Now().Add(busyTimeout)
	for _, busy := range []*uint64{&s.table.Busy, &s.table.Second.Busy} {
		for atomic.LoadUint64(busy) != 0 && time.Now().Before(deadline) {
			time.Sleep(100 * time.Microsecond)
		}
		atomic.StoreUint64(busy, 0)
	}
}

// newIncarnation names a ring: never 0, and not again.
func newIncarnation() (uint64, error) {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return 0, fmt.Errorf("incarnation: %w", err)
	}
	return binary.LittleEndian.Uint64(b[:]) | 1, nil
}

// fileMemory is a lane's memory on a host without the kernel programs: a mapped
// file that another process can adopt. It begins with a page that holds the
// authority word, the boot id and the lane table; the ring follows.
type fileMemory struct {
	shared
	file *os.File
	mem  mmap.MMap
}

const (
	fileHeaderBytes = 4096
	offBootID       = 64
	offFileTable    = 1024
)

// filePath returns where a lane's memory file is.
func filePath(c *config.Config, laneID int) string {
	return filepath.Join(c.Node.RunDir, fmt.Sprintf("%s-lane%d.ring", c.Node.Name, laneID))
}

// openFile maps a lane's file. One of another size, or of another boot, was
// another ring: it starts empty.
func openFile(path string, ringBytes int) (*fileMemory, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("ring file: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("ring file: %w", err)
	}
	m := &fileMemory{file: f}
	if err := m.mapFile(ringBytes); err != nil {
		return nil, errors.Join(fmt.Errorf("ring file %s: %w", path, err), m.close())
	}
	return m, nil
}

func (m *fileMemory) mapFile(ringBytes int) error {
	want := int64(fileHeaderBytes + ringBytes + bpf.RingSlackBytes)
	st, err := m.file.Stat()
	if err != nil {
		return err
	}
	if st.Size() != want {
		m.fresh = true
		if err := errors.Join(m.file.Truncate(0), m.file.Truncate(want)); err != nil {
			return err
		}
	}
	if m.mem, err = mmap.Map(m.file, mmap.RDWR, 0); err != nil {
		return err
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return err
	}
	stored := m.mem[offBootID : offBootID+36]
	if string(stored) != string(boot[:36]) {
		m.fresh = true
		copy(stored, boot)
	}
	m.authority = lane.WordAt(m.mem)
	m.table = lane.At(m.mem[offFileTable:])
	m.ringMem = m.mem[fileHeaderBytes:]
	return nil
}

func (m *fileMemory) close() error {
	var err error
	if m.mem != nil {
		err = m.mem.Unmap()
	}
	return errors.Join(err, m.file.Close())
}
