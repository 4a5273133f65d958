package node

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"

	"onebeat/mirror/lane"
	"onebeat/mirror/ring"
	"onebeat/mirror/ringfile"
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
	if c := &s.table.Config; c.Flags&lane.ConfigQuarantined != 0 {
		// The lane may have gone on without this ring: it comes back as another one,
		// which no record of the lane names. The flag goes when the lane is configured.
		incarnation, err := newIncarnation()
		if err != nil {
			return nil, err
		}
		c.Incarnation, c.PeerIncarnation = incarnation, 0
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

// openFile maps a lane's file on a host without the kernel programs.
func openFile(cfg *config.Config, laneID, ringBytes int) (shared, func() error, error) {
	m, err := ringfile.Open(filePath(cfg, laneID), ringBytes)
	if err != nil {
		return shared{}, nil, err
	}
	return shared{table: m.Table, authority: m.Authority, ringMem: m.Ring, fresh: m.Fresh}, m.Close, nil
}

// filePath returns where a lane's memory file is.
func filePath(c *config.Config, laneID int) string {
	return ringfile.Path(c.Node.RunDir, c.Node.Name, laneID)
}
