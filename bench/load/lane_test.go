package load

import (
	"testing"

	"onebeat/engine"
	"onebeat/engine/app"
	"onebeat/engine/book"
	"onebeat/engine/fixp"
	"onebeat/engine/sbe"
	"onebeat/xdp"
	"onebeat/xdp/frame"
)

// memoryLane is a Port with a lane at its other end, in this process: a book
// behind the session server, unreplicated. Every drop-th frame, each way, is
// lost; 0: none.
type memoryLane struct {
	machine *engine.Machine
	out     *app.Outbox
	record  app.Record
	nowNs   func() int64
	drop    int
	frames  int

	sendBuffer, toServer []byte
	inbox                [256][2048]byte
	inboxBytes           [256]int
	arrived, taken       int
	dead                 bool // receives and answers nothing
	mac                  byte // last byte of the MAC it answers from
}

var testSession = sbe.UUID{0: 7, 15: 1}

var laneAt = frame.Endpoint{MAC: [6]byte{2, 0, 0, 0, 0, 9}, IP: frame.IPv4([4]byte{10, 0, 0, 9})}

func newMemoryLane(t testing.TB, nowNs func() int64) *memoryLane {
	t.Helper()
	b, err := book.New(book.Config{Symbols: []uint32{1}})
	if err != nil {
		t.Fatal(err)
	}
	m, err := engine.NewMachine(engine.MachineConfig{Port: 9000, App: b,
		Sessions: []fixp.SessionConfig{{ID: testSession, Key: fixp.NewKey("k")}}})
	if err != nil {
		t.Fatal(err)
	}
	l := &memoryLane{machine: m, out: app.NewOutbox(laneAt, 1), nowNs: nowNs, mac: 9,
		sendBuffer: make([]byte, 2048), toServer: make([]byte, 2048)}
	l.apply(app.Draft{Type: app.RecordEpoch})
	m.Promote(nowNs(), l.out)
	return l
}

func (l *memoryLane) apply(d app.Draft) {
	l.record.TimeNs, l.record.Epoch, l.record.Type, l.record.Payload = l.nowNs(), 1, d.Type, d.Payload
	l.machine.Apply(&l.record, l.out)
	l.record.Position += 128
}

func (l *memoryLane) lost() bool {
	l.frames++
	return l.dead || l.drop > 0 && l.frames%l.drop == 0
}

// Recv runs the lane's timers and hands over what it sent.
func (l *memoryLane) Recv(max int) int {
	for {
		v, d := l.machine.Poll(l.nowNs(), l.out)
		if v != app.Commit {
			break
		}
		l.apply(d)
	}
	l.deliver()
	l.taken = min(max, l.arrived)
	return l.taken
}

func (l *memoryLane) deliver() {
	l.out.Seal()
	for n := l.out.Head(); n < l.out.Tail() && l.arrived < len(l.inbox); n++ {
		s := l.out.At(n)
		l.out.Release(n + 1)
		if l.lost() {
			continue
		}
		copy(l.inbox[l.arrived][:], s.Frame[:s.LengthBytes])
		l.inbox[l.arrived][11] = l.mac
		l.inboxBytes[l.arrived] = s.LengthBytes
		l.arrived++
	}
}

func (l *memoryLane) Frame(i int) []byte { return l.inbox[i][:l.inboxBytes[i]] }

func (l *memoryLane) Done() {
	n := copy(l.inbox[:], l.inbox[l.taken:l.arrived])
	copy(l.inboxBytes[:], l.inboxBytes[l.taken:l.arrived])
	l.arrived, l.taken = n, 0
}

func (l *memoryLane) Reserve() []byte { return l.sendBuffer }

// Submit lets the lane decide at once.
func (l *memoryLane) Submit(lengthBytes int) {
	if l.lost() {
		return
	}
	var dg app.Datagram
	var ok bool
	copy(l.toServer, l.sendBuffer[:lengthBytes])
	if dg.Payload, dg.LocalPort, ok = frame.Parse(l.toServer[:lengthBytes], &dg.From); !ok {
		panic("the client sent no datagram")
	}
	for i := range l.machine.Open(&dg, l.nowNs()) {
		if v, d := l.machine.Admit(i, l.nowNs(), l.out); v == app.Commit {
			l.apply(d)
		}
	}
}

func (l *memoryLane) Kick() int            { return 0 }
func (l *memoryLane) Wait(int64)           {}
func (l *memoryLane) FD() int              { return -1 }
func (l *memoryLane) Stats() xdp.PortStats { return xdp.PortStats{} }
func (l *memoryLane) Close() error         { return nil }
