package shapes

import (
	"fmt"

	"onebeat/engine"
	"onebeat/engine/app"
	"onebeat/engine/book"
	"onebeat/engine/fixp"
	"onebeat/xdp"
	"onebeat/xdp/frame"
)

// venue is an exchange on the client's thread: the book behind the session
// server, as a node has it, without a log.
type venue struct {
	machine  *engine.Machine
	out      *app.Outbox
	record   app.Record
	datagram app.Datagram
	orders   int // records that its sessions' messages made
}

func newVenue(local frame.Endpoint, nowNs int64) (*venue, error) {
	b, err := book.New(book.Config{Symbols: []uint32{symbolID}})
	if err != nil {
		return nil, fmt.Errorf("venue: %w", err)
	}
	m, err := engine.NewMachine(engine.MachineConfig{Port: venuePort, App: b,
		Sessions: []fixp.SessionConfig{{ID: venueSession, Key: fixp.NewKey(venueKey)}}})
	if err != nil {
		return nil, fmt.Errorf("venue: %w", err)
	}
	v := &venue{machine: m, out: app.NewOutbox(local, 1)}
	v.apply(app.Draft{Type: app.RecordEpoch}, nowNs)
	m.Promote(nowNs, v.out)
	return v, nil
}

func (v *venue) apply(d app.Draft, nowNs int64) {
	v.record = app.Record{Position: v.record.Position + 128, TimeNs: nowNs, Epoch: 1, Type: d.Type, Payload: d.Payload}
	v.machine.Apply(&v.record, v.out)
}

// take serves one datagram; work sends what it causes.
func (v *venue) take(payload []byte, from *frame.Endpoint, nowNs int64) {
	dg := &v.datagram
	dg.Payload, dg.From, dg.LocalPort = payload, *from, venuePort
	for i := range v.machine.Open(dg, nowNs) {
		if verdict, draft := v.machine.Admit(i, nowNs, v.out); verdict == app.Commit {
			v.apply(draft, nowNs)
			if draft.Type == app.RecordMessage {
				v.orders++
			}
		}
	}
}

// work runs the venue's timers and submits its outputs to the port.
func (v *venue) work(nowNs int64, port xdp.Port) {
	for {
		verdict, draft := v.machine.Poll(nowNs, v.out)
		if verdict != app.Commit {
			break
		}
		v.apply(draft, nowNs)
	}
	v.out.Seal()
	for n := v.out.Head(); n < v.out.Tail(); n++ {
		b := port.Reserve()
		if b == nil {
			return
		}
		s := v.out.At(n)
		port.Submit(copy(b, s.Frame[:s.LengthBytes]))
		v.out.Release(n + 1)
	}
}
