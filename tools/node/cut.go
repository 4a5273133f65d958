package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"onebeat/mirror"
)

// cutPath returns the file that keeps what a rejoining node cut off a lane's log.
func (n *Node) cutPath(laneID int, c mirror.Cut) string {
	return filepath.Join(n.cfg.Node.RunDir, fmt.Sprintf("%s-lane%d-cut-%d-%d.log", n.cfg.Node.Name, laneID, c.Epoch, c.From))
}

// keepCuts writes what waits to be cut, off the loops' threads. A loop cuts its
// log only once that is on disk; without room there the node does not rejoin.
func (n *Node) keepCuts() {
	for _, p := range n.lanes {
		c, wanted := p.replica.Cuts.Wanted()
		if !wanted {
			continue
		}
		path := n.cutPath(p.cfg.ID, c)
		first, second := p.replica.Cuts.Bytes()
		err := writeCut(path, first, second)
		if err == nil {
			n.log.Warn("kept what is cut off the log", "lane", p.cfg.ID, "file", path, "bytes", len(first)+len(second))
		}
		p.replica.Cuts.Answer(err)
	}
}

// writeCut writes raw records to a file that is there whole or not at all, as
// after a power loss in between.
func writeCut(path string, parts ...[]byte) error {
	next := path + ".part"
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("cut file: %w", err)
	}
	for _, b := range parts {
		if err == nil {
			_, err = f.Write(b)
		}
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(next, path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("cut file: %w; make room there", err), os.Remove(next))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("cut file: %w", err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}
