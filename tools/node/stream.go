package node

import (
	"context"
	"fmt"
	"net"

	"onebeat/mirror/archive"
	"onebeat/mirror/stream"
	"onebeat/tools/config"
)

// Credentials reads what [stream] names, and looks that it is this node's.
func Credentials(cfg *config.Config) (*stream.Credentials, error) {
	s := cfg.Stream
	c, err := stream.LoadCredentials(s.Path(cfg.File, s.Certificate), s.Path(cfg.File, s.Key), s.Path(cfg.File, s.Authorities))
	if err != nil {
		return nil, fmt.Errorf("[stream]: %w", err)
	}
	if int(c.Node) != cfg.Node.Number {
		return nil, fmt.Errorf("[stream]: the certificate is %s's, this is node %d: give each node its own (`onebeat certs`)", stream.NodeName(c.Node), cfg.Node.Number)
	}
	return c, nil
}

// openStream makes the server of this node's logs, and what fetches from its peers.
func (n *Node) openStream() error {
	if n.cfg.Stream == nil {
		return nil
	}
	credentials, err := Credentials(n.cfg)
	if err != nil {
		return err
	}
	for _, p := range n.lanes {
		if p.cfg.Peer != 0 {
			p.catcher = newCatcher(n, p, credentials)
		}
	}
	if !n.cfg.Stream.Listen.IsValid() {
		return nil
	}
	l, err := net.Listen("tcp", n.cfg.Stream.Listen.String())
	if err != nil {
		return fmt.Errorf("[stream] listen: %w; the address must be the host's own, and the port free", err)
	}
	var lanes []*stream.Lane
	for _, p := range n.lanes {
		lanes = append(lanes, n.streamLane(p))
	}
	n.stream = stream.Serve(l, StreamOptions(n.cfg, credentials, lanes, n.clock.NowNs, func(text string) { n.log.Info(text) }))
	n.closer = append(n.closer, n.stream.Close)
	return nil
}

// StreamOptions returns what a configuration says about a server.
func StreamOptions(cfg *config.Config, c *stream.Credentials, lanes []*stream.Lane, nowNs func() int64, note func(string)) stream.ServerOptions {
	return stream.ServerOptions{Credentials: c, Lanes: lanes, RateBytes: uint64(cfg.Stream.RateLimit.Bytes()),
		ConnectionsMax: cfg.Stream.Connections, NowNs: nowNs, Note: note}
}

// StreamCounters calls visit for what the server of this node's logs counted.
func (n *Node) StreamCounters(visit func(name string, count uint64)) {
	if n.stream != nil {
		n.stream.Counters(visit)
	}
}

func (n *Node) streamLane(p *laneParts) *stream.Lane {
	l := &stream.Lane{ID: uint8(p.cfg.ID), Ring: p.ring, Look: stream.TableView(p.mem.table, p.mem.authority), Peer: uint8(p.cfg.Peer)}
	if n.cfg.Archive != nil {
		l.Archive = archive.LaneDir(n.cfg.Archive.Dir, n.cfg.Node.Name, p.cfg.ID)
	}
	l.Newest = newestSnapshot(p)
	return l
}

// runCatchers fetches what lanes lack, each in a goroutine that no loop waits for.
func (n *Node) runCatchers() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	running := 0
	for _, p := range n.lanes {
		if p.catcher != nil {
			running++
			go func() {
				p.catcher.run(ctx)
				ended <- struct{}{}
			}()
		}
	}
	return func() {
		cancel()
		for ; running > 0; running-- {
			<-ended
		}
	}
}
