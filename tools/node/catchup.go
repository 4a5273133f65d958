package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"onebeat/mirror"
	"onebeat/mirror/archive"
	"onebeat/mirror/lane"
	"onebeat/mirror/stream"
	"onebeat/pin"
	"onebeat/tools/config"
	"onebeat/tools/control"
)

// catcher fetches for one lane what its peer's frames do not bring: history that the
// writer's ring no longer holds, a state for a node that has none, and the end of a
// dead engine's log for its successor. It belongs to one goroutine; status is for any.
type catcher struct {
	log         *slog.Logger
	lane        *laneParts
	lanes       int // of the node
	link        *config.Link
	credentials *stream.Credentials
	dial        func(ctx context.Context, address string) (net.Conn, error) // nil: as usual
	archiveDir  string                                                      // of this node; empty: none
	stateDir    string                                                      // where a snapshot that comes is kept until it is used
	retry       time.Time                                                   // no state is fetched before
	looked      time.Time                                                   // for a fetched snapshot to keep
	asked       time.Time                                                   // for a snapshot behind a gap
	told        string
	warm        *stream.Client // to the daemon beside the peer, as long as this node stands by; nil: none
	warmed      time.Time      // when it was last looked at
	errand      *pin.Errand    // between begin and end
	position    atomic.Uint64
	doing       atomic.Pointer[string]
}

const (
	catcherPoll  = time.Millisecond
	catcherIdle  = 20 * time.Millisecond // of the writer, which lacks nothing; its orders notice wake-ups
	catcherRetry = time.Second
)

func newCatcher(n *Node, p *laneParts, credentials *stream.Credentials) *catcher {
	link := n.cfg.Link(p.cfg.Peer)
	if !link.PeerStream.IsValid() && !link.PeerMirrord.IsValid() {
		return nil
	}
	c := &catcher{log: n.log.With("lane", p.cfg.ID), lane: p, lanes: len(n.cfg.Lanes), link: link, credentials: credentials, dial: n.dial,
		stateDir: fetchedDir(n.cfg, p.cfg.ID)}
	if n.cfg.Archive != nil {
		c.archiveDir = archive.LaneDir(n.cfg.Archive.Dir, n.cfg.Node.Name, p.cfg.ID)
	}
	return c
}

// run looks after the lane until ctx ends.
func (c *catcher) run(ctx context.Context) {
	t := time.NewTimer(catcherPoll)
	defer t.Stop()
	defer c.cool()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			c.step(ctx)
		}
		if lane.Load(c.lane.mem.authority).State() == lane.Active {
			t.Reset(catcherIdle)
		} else {
			t.Reset(catcherPoll)
		}
	}
}

// step does what is wanted, if anything is; it may take long.
func (c *catcher) step(ctx context.Context) {
	f := &c.lane.replica.Feed
	if lag, wanted := f.Wanted(); wanted {
		c.say("fetching the log")
		c.begin()
		c.errand.Urge(lag.Salvage) // orders wait for it
		err := c.feed(ctx, &lag)
		for lag.Salvage && err != nil && !f.Stopped() && sleep(ctx, catcherPoll) {
			err = c.feed(ctx, &lag) // the loop ends the wait
		}
		c.say("")
		state := errors.Is(err, stream.ErrHistory) || errors.Is(err, errWantsState)
		c.end()
		if err != nil && !state {
			f.End(err.Error())
			return
		}
		if state {
			c.fetchState(ctx) // before the loop asks again
		}
		f.End("")
		return
	}
	if f.Stopped() && !f.Idle() {
		f.End("")
	}
	if _, wanted := c.lane.replica.History.Wanted(); wanted && !c.lane.restoring() {
		c.fetchState(ctx)
	}
	c.keepState()
	c.bridgeGap(ctx)
	c.keepWarm(ctx)
}

// begin makes what follows, until end, work that orders of other lanes do not notice.
func (c *catcher) begin() { c.errand = pin.StartErrand() }

func (c *catcher) end() {
	c.errand.End()
	c.errand = nil
}

// say is for the status; empty: nothing.
func (c *catcher) say(doing string) { c.doing.Store(&doing) }

// status returns what is being done, nil if nothing is.
func (c *catcher) status() *control.CatchUp {
	doing := c.doing.Load()
	if doing == nil || *doing == "" {
		return nil
	}
	return &control.CatchUp{Doing: *doing, Position: c.position.Load()}
}

// connect dials one of the peer's servers.
func (c *catcher) connect(ctx context.Context, address config.Endpoint) (*stream.Client, error) {
	if !address.IsValid() {
		return nil, errNoAddress
	}
	return stream.Dial(ctx, address.String(), uint8(c.link.Peer), stream.ClientOptions{Credentials: c.credentials, Dial: c.dial})
}

var (
	errNoAddress = errors.New("no such server is configured")
	// errWantsState means that a snapshot is better than a long log.
	errWantsState = errors.New("a snapshot is fetched first")
)

// feed brings the loop the records it asks for.
func (c *catcher) feed(ctx context.Context, lag *mirror.Lag) error {
	servers := []config.Endpoint{c.link.PeerStream}
	if lag.Salvage {
		// The node's own server died with it, the daemon's did not.
		servers = []config.Endpoint{c.link.PeerMirrord, c.link.PeerStream}
	}
	var errs []error
	if client := c.warm; client != nil && lag.Salvage {
		c.warm = nil
		if errors.Join(c.feedFrom(ctx, client, lag), client.Close()) == nil {
			return nil
		}
	}
	for _, address := range servers {
		client, err := c.connect(ctx, address)
		if err == nil {
			err = c.feedFrom(ctx, client, lag)
			err = errors.Join(err, client.Close())
			if errors.Is(err, stream.ErrBehind) && !lag.Salvage {
				err = c.cutAtDifference(ctx, address, lag, err)
			}
			if err == nil {
				return nil
			}
		}
		if err != errNoAddress {
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 {
		return errors.New("the peer's [[link]] has no peer_stream")
	}
	return errors.Join(errs...)
}

func (c *catcher) feedFrom(ctx context.Context, client *stream.Client, lag *mirror.Lag) error {
	if err := c.preferState(client, lag); err != nil {
		return err
	}
	req := stream.LogRequest{Lane: uint8(c.lane.cfg.ID), From: lag.From, Epoch: lag.Epoch, Salvage: lag.Salvage, To: lag.To}
	if lag.From > 0 {
		req.Last, _ = stream.LastHead(c.lane.ring, lag.From)
	}
	stop := context.AfterFunc(ctx, func() {
		c.lane.replica.Feed.Stop()
		_ = client.Close() // what waits for it ends
	})
	defer stop()
	for {
		before := req.From
		if err := c.feedOnce(ctx, client, &req); err != nil || lag.Salvage || req.From-before < feedNearBytes || c.lane.replica.Feed.Stopped() {
			return err
		}
	}
}

// cutAtDifference: the writer's log lacks the last record of this one, and no later
// epoch says from where on. What differs is looked for record by record.
func (c *catcher) cutAtDifference(ctx context.Context, address config.Endpoint, lag *mirror.Lag, behind error) error {
	client, err := c.connect(ctx, address)
	if err != nil {
		return errors.Join(behind, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = client.Close() })
	defer stop()
	d, err := client.Differ(&stream.Lane{ID: uint8(c.lane.cfg.ID), Ring: c.lane.ring, Archive: c.archiveDir}, lag.From)
	if err = errors.Join(err, client.Close()); err != nil || d == nil || d.Behind || d.Epoch < lag.Epoch {
		return errors.Join(behind, err)
	}
	c.lane.replica.Feed.PutCut(d.Position)
	return nil
}

// feedNearBytes is how little an answer brings when the log's end is near: the frames
// of the link bring the rest. Behind more than that the writer has gone on meanwhile,
// for as long as it took to take that in.
const feedNearBytes = 256 << 10

// feedOnce brings what the server has now, and makes the request the next one.
func (c *catcher) feedOnce(ctx context.Context, client *stream.Client, req *stream.LogRequest) error {
	log, err := client.Log(*req)
	if err != nil {
		return err
	}
	defer log.Close() // ends nothing but what runs for it
	f, from := &c.lane.replica.Feed, req.From
	for {
		c.errand.Piece()
		chunk, err := log.Next()
		c.errand.Left(chunk.Safe - min(chunk.End(), chunk.Safe))
		var cut *stream.Cut
		switch {
		case errors.As(err, &cut):
			f.PutCut(cut.Position)
			return nil
		case errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return err
		}
		c.position.Store(chunk.End())
		if !c.awaitArchive(ctx, from, chunk.Position) || !f.Put(chunk.Position, chunk.Records, uint64(c.lane.ring.SizeBytes())) {
			if f.Stopped() {
				return nil
			}
			return fmt.Errorf("the log at %d does not fit a ring of %d bytes", chunk.Position, c.lane.ring.SizeBytes())
		}
		if len(chunk.Records) > 0 {
			req.From, req.Last, req.Epoch = chunk.End(), chunk.Last, chunk.Last.Epoch()
		}
	}
}

// preferState: a node that has nothing starts from a snapshot, where there is one.
func (c *catcher) preferState(client *stream.Client, lag *mirror.Lag) error {
	if lag.From > 0 || lag.Salvage {
		return nil
	}
	status, err := c.peerStatus(client)
	if err != nil {
		return err
	}
	if status.Snapshot > 0 {
		return errWantsState
	}
	return nil
}

// awaitArchive keeps the ring from running away from this node's archive, which
// would have a gap: an eighth of the ring lies between, so that it may leave the cores
// to others (archive.Follower hurries from a quarter on). An archive that ends before
// what is fetched, as behind a snapshot it does, goes on in what is fetched: only with
// that in the ring. One that fails is not waited for. false: nothing more is wanted.
func (c *catcher) awaitArchive(ctx context.Context, from, position uint64) bool {
	a, lead := c.lane.archive, uint64(c.lane.ring.SizeBytes())/8
	for a != nil && ctx.Err() == nil {
		s := a.Status()
		if s.State == "failing" || position < max(s.End, from)+lead || s.State == "following" && s.Segments == 0 {
			break
		}
		if c.lane.replica.Feed.Stopped() {
			return false
		}
		time.Sleep(catcherPoll)
	}
	return ctx.Err() == nil
}

// peerStatus asks what the server has of this lane.
func (c *catcher) peerStatus(client *stream.Client) (*stream.LaneStatus, error) {
	list, err := client.Status()
	if err != nil {
		return nil, err
	}
	for i := range list {
		if int(list[i].Lane) == c.lane.cfg.ID {
			return &list[i], nil
		}
	}
	return nil, fmt.Errorf("the peer serves no lane %d to this node", c.lane.cfg.ID)
}
