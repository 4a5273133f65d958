package client

import (
	"cmp"
	"errors"
	"fmt"

	"onebeat/engine/app"
	"onebeat/engine/fixp"
	"onebeat/engine/sbe"
)

// ErrConfig is wrapped by every refusal of New.
var ErrConfig = errors.New("client configuration")

// Client is one session. It belongs to one goroutine.
type Client struct {
	cfg     Config
	handler Handler
	refuser Refuser    // the handler, if it is one
	copier  DropCopier // the same
	link    *fixp.Initiator
	stats   Stats
	answer  Answer
}

// New returns a client that will negotiate and establish at its first Poll.
func New(cfg Config, handler Handler) (*Client, error) {
	cfg.Window = cmp.Or(cfg.Window, 8192)
	cfg.BatchMessages = cmp.Or(cfg.BatchMessages, 16)
	cfg.MaxDatagramBytes = cmp.Or(cfg.MaxDatagramBytes, 1024)
	cfg.ResendNs = cmp.Or(cfg.ResendNs, 20_000_000)
	cfg.KeepAliveNs = cmp.Or(cfg.KeepAliveNs, 500_000_000)
	cfg.ConnectNs = cmp.Or(cfg.ConnectNs, 1_000_000)
	if handler == nil {
		return nil, fmt.Errorf("%w: no handler", ErrConfig)
	}
	link, err := fixp.NewInitiator(fixp.InitiatorConfig{
		Session: cfg.Session, Key: cfg.Key, Window: cfg.Window, BatchMessages: cfg.BatchMessages,
		MaxDatagramBytes: cfg.MaxDatagramBytes, ResendNs: cfg.ResendNs, KeepAliveNs: cfg.KeepAliveNs,
		ConnectNs: cfg.ConnectNs, Adopt: !cfg.Resume, RenumberAfterSends: 8,
		Yield: true, FirstTimestamp: cfg.UnixNs,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	c := &Client{cfg: cfg, handler: handler, link: link}
	c.refuser, _ = handler.(Refuser)
	c.copier, _ = handler.(DropCopier)
	return c, nil
}

// Ready reports whether the session is established.
func (c *Client) Ready() bool { return c.link.Established() }

// Room returns how many more requests fit into the window.
func (c *Client) Room() int { return c.link.Room() }

// Unanswered returns how many requests wait for their first answer.
func (c *Client) Unanswered() int { return c.link.Unanswered() }

// Stats returns the counters.
func (c *Client) Stats() Stats {
	s, k := c.stats, &c.link.Counts
	s.Resent, s.Renumbered = k.Of(fixp.CountResent), k.Of(fixp.CountRenumbered)
	s.Repeats, s.Gaps, s.Lost = k.Of(fixp.CountServerRepeats), k.Of(fixp.CountGaps), k.Of(fixp.CountLostMessages)
	s.Datagrams, s.BadDatagrams = k.Of(fixp.CountDatagrams), k.BadTotal()
	s.Establishes, s.Terminates = k.Of(fixp.CountEstablished), k.Of(fixp.CountTerminated)
	return s
}

// Initiator gives a look at the session underneath.
func (c *Client) Initiator() *fixp.Initiator { return c.link }

// SendOrder stores an order for the next Poll; false: the window is full or
// the ClOrdID is in it already.
func (c *Client) SendOrder(o *Order, nowNs int64) bool {
	block := c.begin(sbe.TemplateNewOrderSingle, o.ClOrdID)
	if block == nil {
		return false
	}
	m := sbe.AsNewOrderSingle(block)
	m.SetClOrdID(o.ClOrdID)
	m.SetPriceTicks(o.PriceTicks)
	m.SetSymbolID(o.SymbolID)
	m.SetQtyLots(o.QtyLots)
	m.SetAccount(o.Account)
	m.SetSide(o.Side)
	m.SetOrdType(o.OrdType)
	m.SetTimeInForce(o.TimeInForce)
	sbe.SetNewOrderSingleExecInst(block, o.ExecInst)
	c.link.Commit(nowNs)
	return true
}

// SendCancel stores a cancel for the next Poll.
func (c *Client) SendCancel(o *Cancel, nowNs int64) bool {
	block := c.begin(sbe.TemplateOrderCancelRequest, o.ClOrdID)
	if block == nil {
		return false
	}
	m := sbe.AsOrderCancelRequest(block)
	m.SetClOrdID(o.ClOrdID)
	m.SetOrigClOrdID(o.OrigClOrdID)
	m.SetSymbolID(o.SymbolID)
	m.SetAccount(o.Account)
	m.SetSide(o.Side)
	c.link.Commit(nowNs)
	return true
}

// SendReplace stores a replace for the next Poll.
func (c *Client) SendReplace(o *Replace, nowNs int64) bool {
	block := c.begin(sbe.TemplateOrderCancelReplaceRequest, o.ClOrdID)
	if block == nil {
		return false
	}
	m := sbe.AsOrderCancelReplaceRequest(block)
	m.SetClOrdID(o.ClOrdID)
	m.SetOrigClOrdID(o.OrigClOrdID)
	m.SetPriceTicks(o.PriceTicks)
	m.SetSymbolID(o.SymbolID)
	m.SetQtyLots(o.QtyLots)
	m.SetAccount(o.Account)
	m.SetSide(o.Side)
	c.link.Commit(nowNs)
	return true
}

func (c *Client) begin(template uint16, clOrdID uint64) []byte {
	block := c.link.Begin(template, clOrdID)
	if block != nil {
		c.stats.Sent++
	}
	return block
}

// Poll sends what is due and returns the number of datagrams.
func (c *Client) Poll(nowNs int64, out Out) int { return c.link.Poll(nowNs, out) }

// OnDatagram takes one received payload and gives its messages to the handler.
func (c *Client) OnDatagram(payload []byte, nowNs int64) {
	c.answer.NowNs = nowNs
	n := c.link.Open(payload, nowNs)
	for i := range n {
		v, seqNo, raw := c.link.Admit(i)
		if r, refused := c.link.TakeRefusal(); refused {
			c.refuse(&r)
		}
		if v != app.Commit {
			continue
		}
		template, block := uint16(raw[2])|uint16(raw[3])<<8, raw[sbe.HeaderBytes:]
		a := c.link.Accept(seqNo, template, block)
		if !a.Deliver {
			continue
		}
		c.answer.First, c.answer.SentNs, c.answer.Sends, c.answer.SeqNo = a.First, a.FirstNs, a.Sends, seqNo
		c.stats.Delivered++
		if a.First {
			c.stats.Answered++
		}
		c.deliver(template, block)
	}
}

// deliver hands a message of the server's flow to the handler.
func (c *Client) deliver(template uint16, block []byte) {
	switch template {
	case sbe.TemplateExecutionReport:
		c.handler.OnReport(&c.answer, sbe.AsExecutionReport(block))
	case sbe.TemplateReject:
		c.handler.OnReject(&c.answer, sbe.AsReject(block))
	case sbe.TemplateDropCopy:
		if c.copier != nil {
			m := sbe.AsDropCopy(block)
			c.copier.OnDropCopy(m.SessionID(), sbe.AsExecutionReport(m[dropCopyReport:dropCopyReport+sbe.ExecutionReportBytes]))
		}
	}
}

// dropCopyReport is where the ExecutionReport begins in a DropCopy.
const dropCopyReport = 16

// refuse gives up what the server does not take, if the handler wants to know.
func (c *Client) refuse(r *fixp.Refusal) {
	c.stats.Refusals++
	if c.refuser == nil {
		return
	}
	for n := r.FromSeqNo; n < r.EndSeqNo; n++ {
		if clOrdID, template := c.link.GiveUp(n); clOrdID != 0 {
			c.stats.Refused++
			c.refuser.OnRefused(clOrdID, template, r.Code)
		}
	}
}

// Ended reports that the session is over: by Terminate or Finish, or because
// another client took it over (Code). Open starts it anew.
func (c *Client) Ended() bool { return c.link.State() == fixp.Closed }

// Code is why the server last refused or ended the session, Unspecified since it
// was established.
func (c *Client) Code() sbe.SessionCode { return c.link.EndCode() }

// Terms returns what the server allows the session: its order rate, how many
// messages it keeps, its cancel-on-disconnect window.
func (c *Client) Terms() fixp.Terms { return c.link.Terms() }

// Look is what a Connector wants to know; heardNs is when the last datagram came.
func (c *Client) Look(heardNs int64) Look {
	return Look{Ready: c.Ready(), HeardNs: heardNs, Waiting: c.Unanswered() > 0, Ended: c.Ended(), Code: c.Code()}
}

// Anew makes a search for the session begin again with short waits: another host
// is asked from now on.
func (c *Client) Anew() { c.link.Anew() }

// Finish ends the session once everything sent is answered, so that both sides
// know it: FIXP's FinishedSending. Nothing more can be sent; Open starts it anew.
func (c *Client) Finish() { c.link.Finish() }

// Terminate ends the session at the next Poll; Open starts it anew.
func (c *Client) Terminate() { c.link.Close() }

// Open establishes the session again, after Terminate.
func (c *Client) Open(nowNs int64) { c.link.Promote(nowNs) }
