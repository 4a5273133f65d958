package witness

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"onebeat/mirror/arbiter"
)

// Options of a client.
type Options struct {
	Witness   netip.AddrPort // IPv4
	Key       [32]byte       // shared with the witness
	Lane      uint8
	Node      uint8
	TimeoutNs int64 // an answer that takes longer is asked for again
}

// Client is the arbiter of one lane whose register a witness keeps. All calls
// are the loop's thread's, but State.
type Client struct {
	socket
	asker *arbiter.Asker
	board arbiter.Board
	frame [arbiter.AskBytes]byte
	reply [arbiter.AnswerBytes + 1]byte // one more, so that a longer datagram shows

	received, unsent uint64
}

var _ arbiter.Remote = (*Client)(nil)

// Dial opens a client's socket in the calling thread's network namespace. That
// the witness cannot be reached is no error: it may come later.
func Dial(o Options) (*Client, error) {
	if !o.Witness.Addr().Is4() || o.Witness.Port() == 0 {
		return nil, fmt.Errorf("witness %v: want an IPv4 address and a port", o.Witness)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket to the witness: %w", err)
	}
	c := &Client{socket: socket{fd: fd}}
	c.to(o.Witness)
	c.asker = arbiter.NewAsker(arbiter.DeriveKeys(o.Key), o.Lane, o.Node, nonce(), o.TimeoutNs, &c.board)
	return c, nil
}

// nonce is random and never 0.
func nonce() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return max(binary.LittleEndian.Uint64(b[:]), 1)
}

// Read implements arbiter.Arbiter.
func (c *Client) Read(nowNs int64) {
	c.asker.Read(nowNs)
	c.ask(nowNs)
}

// Swap implements arbiter.Arbiter.
func (c *Client) Swap(r arbiter.Request, nowNs int64) {
	c.asker.Swap(&r, nowNs)
	c.ask(nowNs)
}

// pollBurst bounds the datagrams of one Poll: a stranger's must not keep the
// loop.
const pollBurst = 16

// Poll implements arbiter.Arbiter. It costs a system call only while an answer
// is waited for.
func (c *Client) Poll(nowNs int64) (arbiter.Answer, bool) {
	for range pollBurst {
		if !c.asker.Asking() {
			break
		}
		n, errno := c.recvFromAny(c.reply[:])
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			break
		}
		c.received++
		c.asker.Take(c.reply[:min(n, len(c.reply))], nowNs)
	}
	c.ask(nowNs)
	return c.asker.Poll()
}

// ask sends the frame that is due, if one is. What cannot be sent is as lost.
func (c *Client) ask(nowNs int64) {
	if n := c.asker.Frame(nowNs, c.frame[:]); n > 0 && c.send(c.frame[:n]) != 0 {
		c.unsent++
	}
}

// State implements arbiter.Remote.
func (c *Client) State() arbiter.State { return c.board.State() }

// Counters implements arbiter.Remote.
func (c *Client) Counters(visit func(name string, count uint64)) {
	c.asker.Counters(visit)
	visit("arbiter_received", c.received)
	visit("arbiter_unsent", c.unsent)
}

// Close closes the socket.
func (c *Client) Close() error {
	err := unix.Close(c.fd)
	c.fd = -1
	return err
}
