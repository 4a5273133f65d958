package export

import (
	"errors"
	"fmt"

	"onebeat/engine/app"
	"onebeat/mirror/archive"
	"onebeat/mirror/disk"
)

// errLog means that a log is not, or not any more, what the read model was made
// of.
var errLog = errors.New("the log is not the read model's")

// lanelog is a lane's records in the order of the log.
type lanelog struct {
	r     *archive.Reader
	epoch uint32 // of the last record; 0: none yet
	end   uint64 // behind it
}

// openLog opens a lane's log at its beginning.
func openLog(dir string) (*lanelog, error) {
	r, err := archive.OpenReader(disk.OS{}, dir)
	if err != nil {
		return nil, err
	}
	return &lanelog{r: r}, nil
}

// identity names the life of the lane that the log belongs to.
func (l *lanelog) identity() archive.Identity { return l.r.Segments()[0].Header.Identity }

// begin is where the log begins.
func (l *lanelog) begin() uint64 { return l.r.Begin() }

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
	l.epoch = rec.Epoch
	l.end = l.r.Position()
	return true, nil
}

func (l *lanelog) close() error { return l.r.Close() }
