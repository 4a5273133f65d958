package inspect

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"onebeat/engine/app"
	"onebeat/engine/fixp"
	"onebeat/engine/operator"
	"onebeat/engine/sbe"
	"onebeat/mirror/lane"
	"onebeat/mirror/policy"
)

// Line is one record for people and programs.
type Line struct {
	Position uint64 `json:"position"`
	Epoch    uint32 `json:"epoch"`
	TimeNs   int64  `json:"time_ns"`
	Type     string `json:"type"`
	Bytes    int    `json:"bytes"` // of the payload
	// Session is the client's index in the configuration; nil: not a client's.
	Session *uint32 `json:"session,omitempty"`
	SeqNo   uint64  `json:"seq_no,omitempty"`
	Message string  `json:"message,omitempty"`
	ClOrdID uint64  `json:"clordid,omitempty"`
	Symbol  uint32  `json:"symbol,omitempty"`
	About   string  `json:"about,omitempty"`
	Payload string  `json:"payload,omitempty"` // hexadecimal, if asked for
}

// LineOf describes a record.
func LineOf(rec *app.Record) Line {
	l := Line{Position: rec.Position, Epoch: rec.Epoch, TimeNs: rec.TimeNs, Type: rec.Type.String(), Bytes: len(rec.Payload)}
	switch rec.Type {
	case app.RecordMessage, app.RecordVenue:
		l.message(rec)
	case app.RecordSession:
		if session, e, ok := fixp.ParseSession(rec.Payload); ok {
			l.Session, l.About = &session, e.String()
		}
	case app.RecordEpoch:
		var r lane.Record
		if r.Parse(rec.Payload) {
			l.About = r.String()
		}
	case app.RecordOperator:
		l.About = aboutOperator(rec.Payload)
	}
	return l
}

// aboutOperator says what an operator wanted.
func aboutOperator(payload []byte) string {
	var change policy.Change
	var c operator.Command
	switch {
	case policy.IsChange(payload):
		if change.Parse(payload) {
			return change.String()
		}
		return "a change that is none"
	case operator.IsCommand(payload):
		if c.Parse(payload) {
			return c.String()
		}
		return "a command that is none"
	}
	return string(payload)
}

func (l *Line) message(rec *app.Record) {
	session, seqNo, template, block, ok := fixp.ParseMessage(rec.Payload)
	if !ok {
		return
	}
	if l.SeqNo, l.Message = seqNo, sbe.TemplateName(template); rec.Type == app.RecordMessage {
		l.Session = &session
	}
	switch template {
	case sbe.TemplateNewOrderSingle:
		m := sbe.AsNewOrderSingle(block)
		l.ClOrdID, l.Symbol = m.ClOrdID(), m.SymbolID()
	case sbe.TemplateOrderCancelRequest:
		m := sbe.AsOrderCancelRequest(block)
		l.ClOrdID, l.Symbol = m.ClOrdID(), m.SymbolID()
	case sbe.TemplateOrderCancelReplaceRequest:
		m := sbe.AsOrderCancelReplaceRequest(block)
		l.ClOrdID, l.Symbol = m.ClOrdID(), m.SymbolID()
	case sbe.TemplateOrderStatusRequest:
		m := sbe.AsOrderStatusRequest(block)
		l.ClOrdID, l.Symbol = m.ClOrdID(), m.SymbolID()
	case sbe.TemplateExecutionReport:
		m := sbe.AsExecutionReport(block)
		l.ClOrdID, l.Symbol = m.ClOrdID(), m.SymbolID()
	}
}

// String is the line for people.
func (l *Line) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%12d  epoch %-4d %s  %-8s %4d bytes", l.Position, l.Epoch,
		time.Unix(0, l.TimeNs).UTC().Format("2006-01-02T15:04:05.000000000Z"), l.Type, l.Bytes)
	if l.Session != nil {
		fmt.Fprintf(&b, "  session %d", *l.Session)
	}
	if l.Message != "" {
		fmt.Fprintf(&b, "  seq %d %s ClOrdID %d symbol %d", l.SeqNo, l.Message, l.ClOrdID, l.Symbol)
	}
	if l.About != "" {
		fmt.Fprintf(&b, "  %s", l.About)
	}
	if l.Payload != "" {
		fmt.Fprintf(&b, "  %s", l.Payload)
	}
	return b.String()
}

// Printer writes records, one a line.
type Printer struct {
	W       io.Writer
	JSON    bool
	Payload bool
}

// Print writes one record.
func (p *Printer) Print(rec *app.Record) error {
	l := LineOf(rec)
	if p.Payload {
		l.Payload = hex.EncodeToString(rec.Payload)
	}
	if p.JSON {
		return json.NewEncoder(p.W).Encode(l)
	}
	_, err := fmt.Fprintln(p.W, l.String())
	return err
}
