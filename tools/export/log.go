package export

import (
	"errors"
	"fmt"

	"onebeat/engine/app"
	"onebeat/mirror/archive"
	"onebeat/mirror/disk"
	"onebeat/mirror/reader"
	"onebeat/mirror/ringfile"
	"onebeat/mirror/snapshot"
	"onebeat/tools/config"
)

// errLog means that a log is not, or not any more, what the read model was made
// of.
var errLog = errors.New("the log is not the read model's")

// errNoLog means that there is no log yet.
var errNoLog = errors.New("there is no log yet")

// place says where a lane's log is.
type place struct {
	c         reader.Config
	snapshots string // directory of the lane's states; there may be none
}

// placeOf: the node's memory and archive, of which what is committed is read; or a
// copy of its archive, which is read whole.
func placeOf(cfg *config.ExportFile, laneID int) place {
	node := cfg.Node
	if dir := cfg.Export.Archive; dir != "" {
		dir = archive.LaneDir(dir, node.Node.Name, laneID)
		return place{reader.Config{Lane: laneID, Archive: dir, Uncommitted: true}, snapshot.Dir(dir)}
	}
	p := place{c: reader.Config{Lane: laneID, Archive: archive.LaneDir(node.Archive.Dir, node.Node.Name, laneID)}}
	p.snapshots = snapshot.Dir(p.c.Archive)
	if node.Node.Transport == config.TransportUDP {
		p.c.File = ringfile.Path(node.Node.RunDir, node.Node.Name, laneID)
	} else {
		p.c.BPFFS = node.Node.BPFFS
	}
	return p
}

// String is for people.
func (p *place) String() string {
	if p.c.Uncommitted {
		return p.c.Archive
	}
	return p.c.BPFFS + p.c.File + " and " + p.c.Archive
}

// lanelog is a lane's records in the order of the log.
type lanelog struct {
	r        *reader.Reader
	identity archive.Identity // of the lane's life
	begin    uint64
	epoch    uint32 // of the last record; 0: none yet
	end      uint64 // behind it
}

// open opens the log at its beginning.
func (p *place) open() (*lanelog, error) {
	r, err := reader.Open(p.c)
	if err != nil {
		return nil, err
	}
	l := &lanelog{r: r, begin: r.Position(), identity: r.Mark().Identity}
	if l.identity == (archive.Identity{}) {
		return nil, errors.Join(fmt.Errorf("%w: %s", errNoLog, p), r.Close())
	}
	return l, nil
}

// seek goes to behind a record of an epoch.
func (l *lanelog) seek(position uint64, epoch uint32) error {
	l.epoch, l.end = epoch, position
	return l.r.Seek(position)
}

// next returns the next record; more is false at the log's end for now.
func (l *lanelog) next(rec *app.Record) (more bool, err error) {
	if more, err = l.r.Next(rec); !more || err != nil {
		return false, err
	}
	// Where a log was cut, it goes on with the first record of a later epoch: a
	// reader beyond that place must not take what now stands before it.
	if rec.Epoch != l.epoch && l.epoch != 0 && rec.Type != app.RecordEpoch {
		return false, fmt.Errorf("%w: at %d epoch %d follows epoch %d without its first record: the log was cut", errLog, rec.Position, rec.Epoch, l.epoch)
	}
	l.epoch, l.end = rec.Epoch, l.r.Position()
	return true, nil
}

func (l *lanelog) close() error { return l.r.Close() }

// states returns the saved states of a life of the lane up to a position, the
// newest first.
func (p *place) states(id archive.Identity, position uint64) (list []snapshot.File) {
	all, err := snapshot.List(disk.OS{}, p.snapshots)
	if err != nil {
		return nil // none: the log's beginning does
	}
	for i := len(all) - 1; i >= 0; i-- {
		if h := &all[i].Header; h.Position <= position && h.Identity == id {
			list = append(list, all[i])
		}
	}
	return list
}
