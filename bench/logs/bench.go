package logs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"onebeat/bench/shapes"
	"onebeat/mirror/lane"
	"onebeat/mirror/ring"
	"onebeat/mirror/ringfile"
)

// Shapes.
const (
	Append  = "append"  // records into a ring, nothing else
	Reader  = "reader"  // until another process has read a record
	Archive = "archive" // ring to disk, and what it costs the order path
	Replay  = "replay"  // the gateway's state from its archive
	Catchup = "catchup" // a log of 1 GiB over TLS, archived again
	Rejoin  = "rejoin"  // what orders notice of a standby that catches up
)

// All lists the shapes in the order they are measured.
var All = []string{Append, Reader, Archive, Replay, Catchup, Rejoin}

// Options say how to measure.
type Options struct {
	Layout shapes.Layout
	Dir    string        // for archives [os.TempDir()]
	For    time.Duration // of one measurement [its shape's own]
	Rounds int
	// Orders is that of an order path's measurement [100,000].
	Orders int
	// ReaderCommand starts a process that calls RunReader.
	ReaderCommand []string
	// NodeCommand starts a node; its file is the last argument.
	NodeCommand []string
	// RejoinRates are the loads beside a standby that catches up: orders a second, 0 for one
	// in flight [4,000 and 0].
	RejoinRates []int
	Progress    func(line string)
}

// Measure measures one shape.
func Measure(ctx context.Context, shape string, o Options) (r Result, err error) {
	if !slices.Contains(All, shape) {
		return r, fmt.Errorf("shape %q is not known; use %s", shape, strings.Join(All, ", "))
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	o.Rounds, o.Orders = max(o.Rounds, 1), max(o.Orders, 1)
	if o.Dir == "" {
		o.Dir = os.TempDir()
	}
	o.Progress(shape)
	run := map[string]func(context.Context, *Options) (Result, error){
		Append: measureAppend, Reader: measureReader, Archive: measureArchive, Replay: measureReplay, Catchup: measureCatchup, Rejoin: measureRejoin}[shape]
	if r, err = run(ctx, &o); err != nil {
		return r, fmt.Errorf("%s: %w", shape, err)
	}
	r.Shape, r.Rounds, r.Machine = shape, o.Rounds, shapes.ThisMachine()
	return r, nil
}

// span is how long a measurement takes, if nobody says otherwise.
func (o *Options) span(usual time.Duration) time.Duration {
	if o.For > 0 {
		return o.For
	}
	return usual
}

// ringBytes is the size of a lane's ring unless configured.
const ringBytes = 16 << 20

// payloadBytes is that of the record the bounds are about.
const payloadBytes = 64

// recordBytes is what it takes in the log.
var recordBytes = uint64(ring.PaddedBytes(payloadBytes))

// bed is a ring in shared memory.
type bed struct {
	dir  string
	path string
	mem  *ringfile.File
	ring *ring.Ring
}

func newBed() (*bed, error) {
	parent := "/dev/shm"
	if _, err := os.Stat(parent); err != nil {
		parent = ""
	}
	dir, err := os.MkdirTemp(parent, "onebeat-bench-")
	if err != nil {
		return nil, err
	}
	b := &bed{dir: dir, path: filepath.Join(dir, "ring")}
	if b.mem, err = ringfile.Open(b.path, ringBytes); err != nil {
		return nil, errors.Join(err, b.close())
	}
	b.mem.Table.Config.Incarnation = 1
	if b.ring, err = ring.New(b.mem.Ring, ringBytes, &b.mem.Table.Tail); err != nil {
		return nil, errors.Join(err, b.close())
	}
	b.ring.ShareCuts(&b.mem.Table.Cuts)
	b.mem.Table.SetCommit(lane.CommitTail)
	clear(b.mem.Ring) // its pages are there before anything is measured
	return b, nil
}

func (b *bed) close() error {
	var err error
	if b.mem != nil {
		err = b.mem.Close()
	}
	return errors.Join(err, os.RemoveAll(b.dir))
}

// median of values; it sorts them.
func median[T int64 | float64](v []T) T {
	slices.Sort(v)
	return v[len(v)/2]
}
