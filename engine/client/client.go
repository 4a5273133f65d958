package client

import (
	"errors"
	"fmt"

	"onebeat/engine/fixp"
	"onebeat/engine/sbe"
)

// ErrConfig is wrapped by every refusal of New.
var ErrConfig = errors.New("client configuration")

// Client is one session. It belongs to one goroutine.
type Client struct {
	cfg     Config
	handler Handler
	link    *fixp.Initiator
	stats   Stats
	answer  Answer
	nowNs   int64
	split   [sbe.MaxMessages]sbe.Message
}

// New returns a client that will negotiate and establish at its first Poll.
func New(cfg Config, handler Handler) (*Client, error) {
	setDefault(&cfg.Window, 8192)
	setDefault(&cfg.BatchMessages, 16)
	setDefault(&cfg.MaxDatagramBytes, 1024)
	setDefault(&cfg.ResendNs, 20_000_000)
	setDefault(&cfg.KeepAliveNs, 500_000_000)
	setDefault(&cfg.ConnectNs, 1_000_000)
	if handler == nil {
		return nil, fmt.Errorf("%w: no handler", ErrConfig)
	}
	link, err := fixp.NewInitiator(fixp.InitiatorConfig{
		Session: cfg.Session, Key: cfg.Key, Window: cfg.Window, BatchMessages: cfg.BatchMessages,
		MaxDatagramBytes: cfg.MaxDatagramBytes, ResendNs: cfg.ResendNs, KeepAliveNs: cfg.KeepAliveNs,
		ConnectNs: cfg.ConnectNs, Adopt: !cfg.Resume,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return &Client{cfg: cfg, handler: handler, link: link}, nil
}

func setDefault[T int | int64](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

// Ready reports whether the session is established.
func (c *Client) Ready() bool { return c.link.Established() }

// Room returns how many more requests fit into the window.
func (c *Client) Room() int { return c.link.Room() }

// Unanswered returns how many requests wait for their first answer.
func (c *Client) Unanswered() int { return c.link.Unanswered() }

// Stats returns the counters.
func (c *Client) Stats() Stats { return c.stats }

// SendOrder stores an order for the next Poll; false: the window is full or
// the ClOrdID is in it already.
func (c *Client) SendOrder(o *Order, nowNs int64) bool { return false }

// SendCancel stores a cancel for the next Poll.
func (c *Client) SendCancel(o *Cancel, nowNs int64) bool { return false }

// SendReplace stores a replace for the next Poll.
func (c *Client) SendReplace(o *Replace, nowNs int64) bool { return false }

// Poll sends what is due and returns the number of datagrams.
func (c *Client) Poll(nowNs int64, out Out) int { return 0 }

// OnDatagram takes one received payload.
func (c *Client) OnDatagram(payload []byte, nowNs int64) {}

// Terminate ends the session at the next Poll; a later Send… starts it anew.
func (c *Client) Terminate() {}
