package node

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"onebeat/mirror/archive"
	"onebeat/mirror/ring"
	"onebeat/tools/config"
)

// ArchiveOptions returns what a node's configuration says about a lane's archive.
func ArchiveOptions(cfg *config.Config, laneID int) (archive.Options, error) {
	a := cfg.Archive
	sync, err := archive.ParseSync(a.Sync)
	o := archive.Options{
		Dir:  archive.LaneDir(a.Dir, cfg.Node.Name, laneID),
		Lane: uint8(laneID), Node: uint8(cfg.Node.Number),
		SegmentBytes: a.SegmentSize.Bytes(), Direct: a.IO == config.IODirect,
		Sync: sync, SyncEveryNs: a.SyncEvery.Ns(), Compress: a.Compress,
		RetainBytes: a.RetainSize.Bytes(), RetainNs: a.RetainAge.Ns(),
		Wall: func() int64 { return time.Now().UnixNano() },
	}
	if dir := SnapshotDir(cfg, laneID); dir != "" {
		o.Needed = neededBySnapshots(dir)
	}
	return o, err
}

// addArchive makes the follower that brings a lane's log to the disk.
func (n *Node) addArchive(p *laneParts, r *ring.Ring) error {
	if n.cfg.Archive == nil || n.cfg.Archive.By != config.ByNode {
		return nil
	}
	o, err := ArchiveOptions(n.cfg, p.cfg.ID)
	if err != nil {
		return err
	}
	o.OwnPlace = true // of makeRoom
	o.Incarnation, o.Shared = p.mem.table.Config.Incarnation, &p.mem.table.Archive
	o.Note = func(note archive.Note) {
		n.log.Log(context.Background(), ArchiveLevel(note.Kind), "archive: "+string(note.Kind), "lane", p.cfg.ID, "detail", note.String())
		n.tellArchive(p, note)
	}
	release, err := archive.Lock(o.Dir)
	if err != nil {
		return err
	}
	n.closer = append(n.closer, release)
	if p.archive, err = archive.NewFollower(o, r); err != nil {
		return err
	}
	n.closer = append(n.closer, p.archive.Close) // before the ring's memory goes
	return nil
}

// ArchiveLevel is above info for what an operator has to look at.
func ArchiveLevel(k archive.NoteKind) slog.Level {
	switch k {
	case archive.NoteDamage, archive.NoteGap, archive.NoteFailed:
		return slog.LevelError
	case archive.NoteCut, archive.NoteAside, archive.NoteTorn:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// runArchives follows the lanes' rings, each in a goroutine of its own that no
// loop waits for. The returned function ends them when they have what the rings
// hold.
func (n *Node) runArchives() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, p := range n.lanes {
		if p.archive == nil {
			continue
		}
		running.Go(func() {
			if err := p.archive.Run(ctx, n.clock.NowNs); err != nil {
				n.log.Error("archive", "lane", p.cfg.ID, "error", err)
			}
		})
	}
	return func() {
		cancel()
		running.Wait()
	}
}
