package ringfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/edsrzf/mmap-go"

	"onebeat/mirror/lane"
	"onebeat/mirror/ring"
)

const (
	headerBytes = 4096
	offBootID   = 64
	bootIDBytes = 36
	offTable    = 1024
)

// ErrNone means that there is no ring file.
var ErrNone = errors.New("no ring file")

// Path returns where a lane's file is.
func Path(runDir, node string, laneID int) string {
	return filepath.Join(runDir, fmt.Sprintf("%s-lane%d.ring", node, laneID))
}

// File is a mapped file.
type File struct {
	Authority *uint64
	Table     *lane.Table
	Ring      []byte // with its slack
	Fresh     bool   // nothing of an earlier process is in it

	file *os.File
	mem  mmap.MMap
}

// Open maps a lane's file to write it. One of another boot was another ring: it
// is empty. One of another size is replaced, not changed: who has it mapped would
// die of a page that is gone.
func Open(path string, ringBytes int) (*File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("ring file: %w", err)
	}
	sizeBytes := int64(headerBytes + ringBytes + ring.SlackBytes)
	m := &File{}
	if err := m.open(path, sizeBytes); err != nil {
		return nil, errors.Join(fmt.Errorf("ring file %s: %w", path, err), m.Close())
	}
	return m, nil
}

func (m *File) open(path string, sizeBytes int64) error {
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		m.Fresh = true
	case err != nil:
		return err
	case st.Size() != sizeBytes:
		m.Fresh = true
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	if m.file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	if err := m.file.Truncate(sizeBytes); err != nil {
		return err
	}
	if err := m.mapped(mmap.RDWR); err != nil {
		return err
	}
	boot, err := bootID()
	if err != nil {
		return err
	}
	if stored := m.mem[offBootID : offBootID+bootIDBytes]; string(stored) != boot {
		m.Fresh = true
		copy(stored, boot)
	}
	return nil
}

// View maps a lane's file to look at it. What another boot left is no ring.
func View(path string) (*File, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w; is node.run_dir right, and did the node ever run?", path, ErrNone)
	} else if err != nil {
		return nil, fmt.Errorf("ring file: %w", err)
	}
	m := &File{file: f}
	if err := m.view(); err != nil {
		return nil, errors.Join(fmt.Errorf("ring file %s: %w", path, err), m.Close())
	}
	return m, nil
}

func (m *File) view() error {
	st, err := m.file.Stat()
	if err != nil {
		return err
	}
	if st.Size() < headerBytes+ring.SlackBytes {
		return fmt.Errorf("%w: %d bytes are too few for one", ErrNone, st.Size())
	}
	if err := m.mapped(mmap.RDONLY); err != nil {
		return err
	}
	boot, err := bootID()
	if err != nil {
		return err
	}
	if string(m.mem[offBootID:offBootID+bootIDBytes]) != boot {
		return fmt.Errorf("%w: it is from before this host started", ErrNone)
	}
	return nil
}

func (m *File) mapped(prot int) (err error) {
	if m.mem, err = mmap.Map(m.file, prot, 0); err != nil {
		return err
	}
	m.Authority = lane.WordAt(m.mem)
	m.Table = lane.At(m.mem[offTable:])
	m.Ring = m.mem[headerBytes:]
	return nil
}

func bootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", err
	}
	if len(b) < bootIDBytes {
		return "", fmt.Errorf("boot id %q", b)
	}
	return string(b[:bootIDBytes]), nil
}

// RingSize is the size of the ring in bytes, without its slack.
func (m *File) RingSize() int { return len(m.Ring) - ring.SlackBytes }

// Close unmaps it.
func (m *File) Close() error {
	var err error
	if m.mem != nil {
		err = m.mem.Unmap()
		m.Authority, m.Table, m.Ring = nil, nil, nil
	}
	if m.file != nil {
		err = errors.Join(err, m.file.Close())
	}
	return err
}
