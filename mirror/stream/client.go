package stream

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// ClientOptions say who asks. Zero values mean the defaults in brackets.
type ClientOptions struct {
	Credentials *Credentials
	Name        string // at most NameMaxBytes visible characters [node-<n>]
	Timing      Timing
	// Dial connects. [net.Dialer]
	Dial func(ctx context.Context, address string) (net.Conn, error)
}

// Client is a connection to a server. It is for one goroutine, and one request
// at a time; only Ack and Close may be called beside it. After an error that is
// no Cut it is of no use any more.
type Client struct {
	o     ClientOptions
	conn  *tls.Conn
	in    frames
	write sync.Mutex
	out   [HeaderBytes + bodySmallBytes]byte
}

// ErrDead means that the other side said nothing for too long.
var ErrDead = errors.New("stream: the other side is silent")

// Dial connects to the server of a node.
func Dial(ctx context.Context, address string, server uint8, o ClientOptions) (*Client, error) {
	o.Timing.fill()
	o.Name = cmp.Or(o.Name, fmt.Sprintf("node-%d", o.Credentials.Node))
	if len(o.Name) > NameMaxBytes {
		return nil, fmt.Errorf("stream: the name %q is longer than %d", o.Name, NameMaxBytes)
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timing.Handshake)
	defer cancel()
	if o.Dial == nil {
		o.Dial = func(ctx context.Context, address string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		}
	}
	c, err := o.Dial(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("stream: %w", err)
	}
	conn := tls.Client(c, o.Credentials.client(server))
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("stream: node %d at %s: %w", server, address, err), c.Close())
	}
	client := &Client{o: o, conn: conn, in: frames{from: conn}}
	if err := client.greet(server); err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return client, nil
}

func (c *Client) greet(server uint8) error {
	h := hello{version: Version, node: c.o.Credentials.Node, server: server, name: c.o.Name}
	if err := c.send(TypeHello, 0, h.put(nil)); err != nil {
		return err
	}
	body, _, err := c.expect(TypeWelcome)
	if err != nil {
		return err
	}
	var w welcome
	if err := w.parse(body); err != nil {
		return err
	}
	if w.version != Version || w.node != server || w.chunkBytes > ChunkBytes {
		return fmt.Errorf("%w: the server is node %d of version %d with chunks of %d bytes", ErrFrame, w.node, w.version, w.chunkBytes)
	}
	return nil
}

// Close ends the connection. Any goroutine may, to end what another waits for.
func (c *Client) Close() error { return c.conn.NetConn().Close() }

// send writes a small frame.
func (c *Client) send(typ Type, lane uint8, body []byte) error {
	c.write.Lock()
	defer c.write.Unlock()
	if err := c.conn.SetWriteDeadline(time.Now().Add(c.o.Timing.Dead)); err != nil {
		return err
	}
	n := copy(c.out[HeaderBytes:], body)
	_, err := c.conn.Write(seal(c.out[:HeaderBytes+n], typ, 0, lane))
	return err
}

// next reads a frame; a refusal is an error.
func (c *Client) next() (header, []byte, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(c.o.Timing.Dead)); err != nil {
		return header{}, nil, err
	}
	h, body, err := c.in.next()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return h, nil, fmt.Errorf("%w for %v", ErrDead, c.o.Timing.Dead)
	case errors.Is(err, io.EOF):
		return h, nil, fmt.Errorf("stream: the server ended the connection: %w", err)
	case err != nil:
		return h, nil, fmt.Errorf("stream: %w", err)
	case h.typ == TypeRefused:
		var r Refused
		if err := r.parse(body); err != nil {
			return h, nil, err
		}
		return h, nil, &r
	}
	return h, body, nil
}

func (c *Client) expect(typ Type) ([]byte, header, error) {
	h, body, err := c.next()
	if err == nil && h.typ != typ {
		err = fmt.Errorf("%w: %v where %v was expected", ErrFrame, h.typ, typ)
	}
	return body, h, err
}

// Status asks what the server has of each lane that this node may ask for.
func (c *Client) Status() ([]LaneStatus, error) {
	if err := c.send(TypeStatus, 0, nil); err != nil {
		return nil, err
	}
	body, _, err := c.expect(TypeLanes)
	if err != nil {
		return nil, err
	}
	return parseLanes(body)
}

// Snapshot asks for a lane's newest snapshot and writes its bytes, as they are in
// the server's file; who receives them checks what they say (mirror/snapshot).
func (c *Client) Snapshot(lane uint8, start func(SnapshotHead) (io.Writer, error)) (SnapshotHead, error) {
	var head SnapshotHead
	if err := c.send(TypeSnapshot, lane, nil); err != nil {
		return head, err
	}
	body, _, err := c.expect(TypeSnapshot)
	if err != nil {
		return head, err
	}
	if err := head.parse(body); err != nil {
		return head, err
	}
	to, err := start(head)
	if err != nil {
		return head, err
	}
	for left := head.Bytes; left > 0; {
		body, _, err := c.expect(TypePiece)
		if err != nil {
			return head, err
		}
		if len(body) == 0 || uint64(len(body)) > left {
			return head, fmt.Errorf("%w: a piece of %d bytes, %d are missing", ErrFrame, len(body), left)
		}
		if _, err := to.Write(body); err != nil {
			return head, err
		}
		left -= uint64(len(body))
	}
	return head, nil
}
