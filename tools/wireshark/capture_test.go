package wireshark

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"onebeat/engine"
	"onebeat/engine/app"
	"onebeat/engine/book"
	"onebeat/engine/client"
	"onebeat/engine/fixp"
	"onebeat/engine/sbe"
	"onebeat/xdp/frame"
)

var (
	clientAt = frame.Endpoint{MAC: [6]byte{2, 0, 0, 0, 0, 1}, IP: frame.IPv4([4]byte{10, 10, 0, 10}), Port: 40_000}
	laneAt   = frame.Endpoint{MAC: [6]byte{2, 0, 0, 0, 0, 9}, IP: frame.IPv4([4]byte{10, 10, 0, 100}), Port: 9000}
	session  = sbe.UUID{0x6f, 0x9f, 0x0a, 0x52, 0x5d, 0x1a, 0x4d, 0x3f, 0x9a, 0x34, 0x0d, 0x6c, 0x5e, 0x9f, 0x1a, 0x01}
)

// traffic is what a client and a lane really say to each other, as frames.
type traffic struct {
	c      *client.Client
	m      *engine.Machine
	out    *app.Outbox
	nowNs  int64
	buffer [2048]byte
	ip     frame.Template
	lose   int // datagrams of the client that do not arrive
	frames [][]byte
}

func (w *traffic) OnReport(*client.Answer, *sbe.ExecutionReport) {}
func (w *traffic) OnReject(*client.Answer, *sbe.Reject)          {}
func (w *traffic) Buffer() []byte                                { return w.buffer[frame.HeaderBytes : frame.HeaderBytes+1024] }

func (w *traffic) Send(n int) {
	w.ip.PutSummed(w.buffer[:], &clientAt, clientAt.Port, &laneAt, n)
	w.frames = append(w.frames, bytes.Clone(w.buffer[:frame.HeaderBytes+n]))
	if w.lose > 0 {
		w.lose--
		return
	}
	payload := bytes.Clone(w.buffer[frame.HeaderBytes : frame.HeaderBytes+n])
	for i := range w.m.Open(&app.Datagram{Payload: payload, From: clientAt, LocalPort: laneAt.Port}, w.nowNs) {
		if v, d := w.m.Admit(i, w.nowNs, w.out); v == app.Commit {
			w.apply(d)
		}
	}
}

func (w *traffic) apply(d app.Draft) {
	w.m.Apply(&app.Record{TimeNs: w.nowNs, Type: d.Type, Payload: bytes.Clone(d.Payload)}, w.out)
}

func (w *traffic) run(steps int) {
	for range steps {
		w.nowNs += 1_000_000
		w.c.Poll(w.nowNs, w)
		for v, d := w.m.Poll(w.nowNs, w.out); v == app.Commit; v, d = w.m.Poll(w.nowNs, w.out) {
			w.apply(d)
		}
		w.out.Seal()
		for ; w.out.Head() < w.out.Tail(); w.out.Release(w.out.Head() + 1) {
			s := w.out.At(w.out.Head())
			w.frames = append(w.frames, bytes.Clone(s.Frame[:s.LengthBytes]))
			w.c.OnDatagram(s.Frame[frame.HeaderBytes:s.LengthBytes], w.nowNs)
		}
	}
}

// realTraffic is a session from Negotiate to Terminate: orders, a cancel, a
// replace, one refused, a message lost, the end.
func realTraffic(t testing.TB) [][]byte {
	t.Helper()
	b, err := book.New(book.Config{Symbols: []uint32{1}})
	if err != nil {
		t.Fatal(err)
	}
	w := &traffic{nowNs: 1_000_000_000, out: app.NewOutbox(laneAt, 1)}
	if w.m, err = engine.NewMachine(engine.MachineConfig{Port: laneAt.Port, App: b, Sessions: []fixp.SessionConfig{{ID: session, Key: fixp.NewKey("k")}}}); err != nil {
		t.Fatal(err)
	}
	if w.c, err = client.New(client.Config{Session: session, Key: fixp.NewKey("k"), KeepAliveNs: 50_000_000}, w); err != nil {
		t.Fatal(err)
	}
	order := client.Order{ClOrdID: 1, PriceTicks: -7, SymbolID: 1, QtyLots: 10, Account: 3, Side: sbe.SideSell, OrdType: sbe.OrdTypeLimit}
	send := func(clOrdID uint64, change func(o *client.Order)) {
		o := order
		if o.ClOrdID = clOrdID; change != nil {
			change(&o)
		}
		w.c.SendOrder(&o, w.nowNs)
	}
	w.run(5)
	send(1, func(o *client.Order) { o.PriceTicks = 100 })
	send(2, func(o *client.Order) { o.SymbolID = 99 }) // refused
	send(3, func(o *client.Order) { o.PriceTicks, o.ExecInst = 101, sbe.ExecInstPostOnly })
	w.run(5)
	w.c.SendReplace(&client.Replace{ClOrdID: 4, OrigClOrdID: 1, PriceTicks: 102, SymbolID: 1, QtyLots: 12, Account: 3, Side: sbe.SideSell}, w.nowNs)
	w.c.SendCancel(&client.Cancel{ClOrdID: 5, OrigClOrdID: 3, SymbolID: 1, Account: 3, Side: sbe.SideSell}, w.nowNs)
	w.lose = 1
	w.run(80) // sent again, then heartbeats
	w.c.Finish()
	w.run(30)
	if !w.c.Ended() || w.c.Unanswered() != 0 {
		t.Fatalf("%+v", w.c.Stats())
	}
	return w.frames
}

// framed dresses a payload in headers.
func framed(payload []byte) []byte {
	b := make([]byte, frame.HeaderBytes+len(payload))
	copy(b[frame.HeaderBytes:], payload)
	var ip frame.Template
	ip.PutSummed(b, &clientAt, clientAt.Port, &laneAt, len(payload))
	return b
}

func payloadOf(t testing.TB, b []byte) []byte {
	t.Helper()
	var from frame.Endpoint
	p, _, ok := frame.Parse(b, &from)
	if !ok {
		t.Fatalf("no datagram: %x", b)
	}
	return p
}

// writePcap writes frames as a capture of an Ethernet.
func writePcap(t testing.TB, frames [][]byte) string {
	t.Helper()
	var b bytes.Buffer
	put := func(values ...uint32) {
		for _, v := range values {
			if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(0xa1b2c3d4, 2|4<<16, 0, 0, 65535, 1)
	for i, f := range frames {
		put(uint32(i), 0, uint32(len(f)), uint32(len(f)))
		b.Write(f)
	}
	path := filepath.Join(t.TempDir(), "capture.pcap")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
