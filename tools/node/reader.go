package node

import (
	"fmt"

	"onebeat/mirror/archive"
	"onebeat/mirror/reader"
	"onebeat/tools/config"
)

// ReaderConfig returns where another process on the host finds a lane's log.
func ReaderConfig(cfg *config.Config, laneID int) (reader.Config, error) {
	if cfg.Lane(laneID) == nil {
		return reader.Config{}, fmt.Errorf("node %s has no lane %d", cfg.Node.Name, laneID)
	}
	c := reader.Config{Lane: laneID}
	if cfg.Node.Transport == config.TransportXDP {
		c.BPFFS = cfg.Node.BPFFS
	} else {
		c.File = filePath(cfg, laneID)
	}
	if cfg.Archive != nil {
		c.Archive = archive.LaneDir(cfg.Archive.Dir, cfg.Node.Name, laneID)
	}
	return c, nil
}
