package store

import (
	"onebeat/engine/app"
	"onebeat/engine/sbe"
)

// Link is what became of the connection with a venue.
type Link uint8

// Links.
const (
	LinkUp     Link = iota + 1 // logged on: what is numbered may leave
	LinkDown                   // nobody is
	LinkClosed                 // the session's hours are over
)

// link tells of a record's flags.
func (s *Sessions) link(x *session, h *Header) {
	if !x.cfg.Venue || s.cfg.Link == nil {
		return
	}
	at := int(h.Session) - s.clients
	if h.Flags&LoggedOn != 0 {
		s.cfg.Link(at, LinkUp)
	}
	if h.Flags&Closed != 0 {
		s.cfg.Link(at, LinkClosed)
	}
	if h.Flags&LoggedOff != 0 {
		s.cfg.Link(at, LinkDown)
	}
}

// Request numbers a request to a venue, by its place among the venues, and keeps it
// as every message. It returns its MsgSeqNum.
func (s *Sessions) Request(venue int, template uint16, block []byte, timeNs int64) uint64 {
	at := s.clients + venue
	x := &s.sessions[at]
	s.timeNs = timeNs
	kind, fields := x.names.AppendRequest(s.fields[:0], template, block, s.wallNs())
	s.fields = fields[:0]
	s.kind[0] = kind
	seqNo := x.nextOut
	s.send(x, uint16(at), 0, s.kind[:], nil, fields)
	return seqNo
}

// answer makes an input of a venue's message.
func (s *Sessions) answer(h *Header, body []byte, in *app.Input) bool {
	_, _, template, block, ok := order(body)
	if !ok || int(h.Session) < s.clients || template != sbe.TemplateExecutionReport && template != sbe.TemplateReject {
		s.counts[countBad]++
		return false
	}
	*in = app.Input{Kind: app.FromVenue, TimeNs: s.timeNs, Venue: uint32(h.Session) - uint32(s.clients), SeqNo: h.SeqNo, Template: template, Block: block}
	return true
}

// again reports whether a kept message may be sent again. To a venue only what still
// waits is: it has what it answered, or has lost it and must not trade it twice.
func (s *Sessions) again(at int, seqNo uint64) bool {
	return at < s.clients || s.cfg.Waits == nil || s.cfg.Waits(at-s.clients, seqNo)
}
