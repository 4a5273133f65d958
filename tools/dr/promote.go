package dr

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"onebeat/mirror/archive"
	"onebeat/mirror/stream"
	"onebeat/tools/config"
	"onebeat/tools/control"
	"onebeat/tools/mirrord"
	"onebeat/tools/node"
)

// ErrReachable refuses a promotion while somebody of the main site answers.
var ErrReachable = errors.New("the main site can be reached")

// PromotedLane is a lane that its copy's node will go on with.
type PromotedLane struct {
	ID       int    `json:"id"`
	Position uint64 `json:"position"` // end of the copy
	Last     uint32 `json:"last_epoch"`
	Epoch    uint32 `json:"epoch"` // that it goes on in
	// What the copy was known to lack when it was last connected; BehindNs is how
	// long before now it last had everything, -1: not known.
	BehindBytes   uint64 `json:"behind_bytes"`
	BehindRecords uint64 `json:"behind_records"`
	BehindNs      int64  `json:"behind_ns"`
}

// Promoted is what a promotion prepared.
type Promoted struct {
	Name  string         `json:"name"`
	By    string         `json:"by"`
	Lanes []PromotedLane `json:"lanes"`
	// Sources says how each node of the main site was found.
	Sources []string `json:"sources"`
}

// askTimeout bounds the question to one source.
const askTimeout = 2 * time.Second

// Promote makes a host's copies ready for the node of site, which is started next:
// it goes on from their end in a new epoch. It is refused while a source answers,
// unless forced; by says who wants it and why.
func Promote(ctx context.Context, file *config.MirrordFile, site *config.Config, by string, forced bool) (*Promoted, error) {
	if err := node.CheckForce(by); err != nil {
		return nil, err
	}
	if err := fits(file, site); err != nil {
		return nil, err
	}
	p := &Promoted{Name: file.Mirrord.Name, By: by}
	answered, err := p.ask(ctx, file)
	if err != nil {
		return nil, err
	}
	if answered && !forced {
		return nil, fmt.Errorf("%w: %s: hand its lanes over, or stop its nodes and daemons; --force-from \"who: why\" goes on all the same, and then two sites may serve one lane",
			ErrReachable, strings.Join(p.Sources, "; "))
	}
	before := daemonStatus(file)
	if err := cease(file, by); err != nil {
		return nil, err
	}
	for i := range file.Lanes {
		id := file.Lanes[i].ID
		if site.Lane(id) == nil {
			continue
		}
		l, err := promoteLane(mirrord.LaneDir(file, id), id, site, by)
		if err != nil {
			return nil, fmt.Errorf("lane %d: %w", id, err)
		}
		l.BehindNs = -1
		if before != nil {
			for j := range before.Lanes {
				if c := before.Lanes[j].Copy; before.Lanes[j].ID == id && c != nil {
					l.BehindBytes, l.BehindRecords, l.BehindNs = c.BehindBytes, c.BehindRecords, c.BehindNs
				}
			}
		}
		p.Lanes = append(p.Lanes, *l)
	}
	return p, nil
}

// fits looks that the site's node will find the copies as its archives.
func fits(file *config.MirrordFile, site *config.Config) error {
	switch {
	case site.Archive == nil || filepath.Clean(site.Archive.Dir) != filepath.Clean(file.Archive.Dir) || site.Node.Name != file.Mirrord.Name:
		return fmt.Errorf("%s: its node must find the copies: give it name = %q and archive.dir = %q", site.File, file.Mirrord.Name, file.Archive.Dir)
	case site.Archive.By != config.ByNode:
		return fmt.Errorf("%s: archive.by must be \"node\": the daemon that wrote the copies stops", site.File)
	case site.Archive.SegmentSize != file.Archive.SegmentSize:
		return fmt.Errorf("%s: archive.segment_size is %v, the copies' is %v", site.File, site.Archive.SegmentSize, file.Archive.SegmentSize)
	}
	for i := range file.Lanes {
		if site.Lane(file.Lanes[i].ID) != nil {
			return nil
		}
	}
	return fmt.Errorf("%s: none of its lanes is one of the copies", site.File)
}

// ask reports whether any source answers. What refuses a connection, or does not
// say anything in time, does not.
func (p *Promoted) ask(ctx context.Context, file *config.MirrordFile) (answered bool, err error) {
	c, err := mirrord.HostCredentials(file)
	if err != nil {
		return false, err
	}
	texts, oks := make([]string, len(file.Sources)), make([]bool, len(file.Sources))
	var asking sync.WaitGroup
	for i := range file.Sources {
		asking.Go(func() { texts[i], oks[i] = askSource(ctx, &file.Sources[i], c) })
	}
	asking.Wait()
	for i, s := range file.Sources {
		p.Sources = append(p.Sources, fmt.Sprintf("node %d at %v %s", s.Node, s.Address, texts[i]))
		answered = answered || oks[i]
	}
	return answered, nil
}

func askSource(ctx context.Context, s *config.Source, c *stream.Credentials) (text string, answered bool) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	client, err := stream.Dial(ctx, s.Address.String(), uint8(s.Node), stream.ClientOptions{Credentials: c, Name: "dr",
		Timing: stream.Timing{Handshake: askTimeout, Dead: askTimeout}})
	if err != nil {
		return "does not answer: " + err.Error(), false
	}
	defer client.Close()
	lanes, err := client.Status()
	if err != nil {
		return "answers, but says nothing: " + err.Error(), true
	}
	var states []string
	for _, l := range lanes {
		states = append(states, fmt.Sprintf("lane %d %v in epoch %d", l.Lane, l.State, l.Epoch))
	}
	return "answers: " + strings.Join(states, ", "), true
}

func socket(file *config.MirrordFile) string {
	return control.SocketPath(file.Mirrord.RunDir, control.MirrordName(file.Mirrord.Name))
}

func daemonStatus(file *config.MirrordFile) *control.MirrordStatus {
	var s control.MirrordStatus
	if control.Call(socket(file), control.Request{Cmd: control.CmdStatus}, &s, askTimeout) != nil {
		return nil
	}
	return &s
}

// cease ends the following, by the daemon or, where none runs, in its place.
func cease(file *config.MirrordFile, by string) error {
	err := control.Call(socket(file), control.Request{Cmd: control.CmdCease, By: by}, nil, time.Minute)
	if errors.Is(err, control.ErrNoNode) {
		return mirrord.Cease(file, by)
	}
	return err
}

// promoteLane leaves the word for one lane.
func promoteLane(dir string, id int, site *config.Config, by string) (*PromotedLane, error) {
	release, err := archive.Lock(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = release() }() // the process ends soon
	o, err := node.ArchiveOptions(site, id)
	if err != nil {
		return nil, err
	}
	w, err := archive.Open(o) // recovers it
	if err != nil {
		return nil, err
	}
	end, last := w.End(), w.LastEpoch()
	if err := w.Close(); err != nil {
		return nil, err
	}
	if end == 0 {
		return nil, fmt.Errorf("the copy in %s is empty", dir)
	}
	epoch, err := node.EpochAfter(last)
	if err != nil {
		return nil, err
	}
	l := &PromotedLane{ID: id, Position: end, Last: last, Epoch: epoch}
	return l, node.WritePromotion(dir, &node.Promotion{By: by, Position: end, Last: last, Epoch: epoch, WallNs: time.Now().UnixNano()})
}

// Follow lets a host's copies follow again, once its daemon is started.
func Follow(file *config.MirrordFile) error {
	if s := daemonStatus(file); s != nil && s.Ceased == "" {
		return nil
	}
	for i := range file.Lanes {
		dir := mirrord.LaneDir(file, file.Lanes[i].ID)
		release, err := archive.Lock(dir)
		if err != nil {
			return fmt.Errorf("lane %d: %w; stop the site's node first", file.Lanes[i].ID, err)
		}
		if err := errors.Join(release(), node.DropPromotion(dir)); err != nil {
			return err
		}
	}
	return mirrord.Follow(file)
}
