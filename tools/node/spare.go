package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"onebeat/engine/sbe"
	"onebeat/mirror/snapshot"
	"onebeat/tools/config"
)

// spareDir is where a keeper puts its state while the archive takes nothing: the run
// directory is in memory, usually.
func spareDir(cfg *config.Config, laneID int) string {
	return filepath.Join(cfg.Node.RunDir, fmt.Sprintf("%s-lane%d-spare", cfg.Node.Name, laneID))
}

// spareState keeps a state that the ring leads on from while the archive does not: its
// disk is full, and the ring has gone on. Without one a standby that comes back then would
// wait until there is room. It is made anew once a quarter of a ring of log came behind it, so that
// who fetches it has as much time to ask for what follows.
func (k *keeper) spareState() error {
	g := k.lane.ring
	if g.Tail() < k.spareNext || !k.behindRing() {
		return nil
	}
	f, err := k.writeSpare()
	switch {
	case errors.Is(err, snapshot.ErrCut):
		return err
	case err == nil && f.Path == "":
		return nil
	}
	k.spareNext = g.Tail() + uint64(g.SizeBytes())/4
	if err != nil { // the state itself goes on
		k.log.Error("no state for a standby that comes back", "lane", k.lane.cfg.ID, "error", err)
		return nil
	}
	if k.spareAt == 0 {
		k.log.Warn("the archive takes nothing and the ring has gone on: a standby that comes back gets the state from the run directory",
			"lane", k.lane.cfg.ID, "file", f.Path, "bytes", f.FileBytes)
	}
	k.spareAt = f.Header.Position
	k.set(func(s *snapshot.Status) { s.Spare = f.Header.Position })
	return nil
}

func (k *keeper) writeSpare() (snapshot.File, error) {
	if k.spare == nil {
		s, err := snapshot.Open(k.src.FS, k.spareDir, 1)
		if err != nil {
			return snapshot.File{}, err
		}
		k.spare = s
	}
	return k.replay.Spare(k.lane.ring, k.spare, k.fill)
}

// behindRing: the ring does not hold any more what follows the archive's end.
func (k *keeper) behindRing() bool {
	return k.replay.Bridged() && !k.lane.ring.Holds(k.archive.Archived())
}

// fill describes a state of this lane.
func (k *keeper) fill(h *snapshot.Header) {
	h.Lane, h.Node, h.Schema = uint8(k.lane.cfg.ID), k.lane.mirror.Node, uint32(sbe.SchemaVersion)
	h.App, h.WallNs = k.lane.cfg.App, k.wallNs()
}

// noSpare takes the spare state away: a snapshot leads on now, or the log was cut.
func (k *keeper) noSpare() {
	if k.spare == nil {
		return
	}
	k.spareAt, k.spareNext, k.spare = 0, 0, nil
	k.set(func(s *snapshot.Status) { s.Spare = 0 })
	if err := os.RemoveAll(k.spareDir); err != nil {
		k.log.Warn("the spare state stays", "lane", k.lane.cfg.ID, "error", err)
	}
}
