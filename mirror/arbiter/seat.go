package arbiter

import (
	"encoding/binary"
	"fmt"

	"onebeat/mirror/lane"
	"onebeat/mirror/wire"
)

// Seat is the witness's side of the frames: the registers of many lanes of many
// groups, in memory. It is pure: datagrams come in, answers go out.
type Seat struct {
	boot     uint64
	secret   [2]uint64 // of the tickets
	groups   []*group
	counts   [seatReasonEnd]uint64
	sessions uint64
}

// Group is who shares a key with the witness: the nodes of one or more lanes.
type Group struct {
	Name string
	Keys Keys
}

// group is a Group with its registers.
type group struct {
	Group
	lanes    [lane.Lanes]Register
	sessions map[seatKey]*session
}

type seatKey struct{ lane, node uint8 }

// session is the present life of one node's process in one lane. Its ticket was
// made for its nonce in one generation; the first frame that carries a ticket
// of the present generation opens the next session, and ends this one for good:
// frames of an earlier life have a ticket of an earlier generation.
type session struct {
	nonce, ticket uint64
	counter       uint64 // last one accepted
	generation    uint64
}

// SeatReason is what became of a datagram.
type SeatReason uint8

const (
	// The first of them are Check's.
	seatReplayed SeatReason = SeatReason(checkEnd) + iota // a counter that was there before
	seatTicket                                            // a SWAP without a valid ticket
	seatRead
	// From here on Refusal's: granted, and each reason against it.
	seatSwap
	seatReasonEnd = seatSwap + SeatReason(refusalEnd)
)

func (r SeatReason) String() string {
	switch {
	case r < SeatReason(checkEnd):
		return "bad_" + Check(r).String()
	case r == seatReplayed:
		return "replayed"
	case r == seatTicket:
		return "no_ticket"
	case r == seatRead:
		return "read"
	case r == seatSwap:
		return "granted"
	}
	return "refused_" + Refusal(r-seatSwap).Name()
}

// Change is a register that a datagram changed, or asked to.
type Change struct {
	Group    string
	Lane     uint8
	Node     uint8
	Proof    Proof
	From, To Record
	Refusal  Refusal
	Repeated bool // the register was To already
}

// NewSeat returns a witness that knows nothing yet. boot and secret are random
// and of this life alone.
func NewSeat(boot uint64, secret [2]uint64, groups []Group) *Seat {
	if boot == 0 {
		panic("arbiter: a boot nonce of 0")
	}
	s := &Seat{boot: boot, secret: secret}
	for _, g := range groups {
		if s.find(g.Keys.Group) != nil {
			panic(fmt.Sprintf("arbiter: group %s has another one's key", g.Name))
		}
		own := &group{Group: g, sessions: map[seatKey]*session{}}
		for i := range own.lanes {
			own.lanes[i].Boot = boot
		}
		s.groups = append(s.groups, own)
	}
	return s
}

func (s *Seat) find(id uint64) *group {
	for _, g := range s.groups {
		if g.Keys.Group == id {
			return g
		}
	}
	return nil
}

// Step takes a datagram and writes the answer, if there is one, into the first
// n bytes of reply. change is what it asked of a register, nil for a READ and
// for whatever was not authentic.
func (s *Seat) Step(b, reply []byte) (n int, change *Change) {
	id, check := AskGroup(b)
	var g *group
	if check == OK {
		if g = s.find(id); g == nil {
			check = BadGroup
		}
	}
	var a Ask
	if check == OK {
		check = a.Parse(b, &g.Keys)
	}
	if check != OK {
		s.counts[check]++
		return 0, nil
	}
	ticket, fresh := s.admit(g, &a)
	if ticket == 0 {
		s.counts[seatReplayed]++
		return 0, nil
	}
	register := &g.lanes[a.Lane]
	t := Told{Lane: a.Lane, Node: a.Node, Group: id, Nonce: a.Nonce, Ticket: ticket, Counter: a.Counter}
	switch {
	case a.Type == FrameRead:
		s.counts[seatRead]++
		t.Verdict = VerdictRead
	case !fresh:
		s.counts[seatTicket]++
		t.Verdict = VerdictTicket
	default:
		change = &Change{Group: g.Name, Lane: a.Lane, Node: a.Node, Proof: a.Request.Proof, From: register.Record, To: a.Request.Next}
		_, t.Refusal = register.Swap(&a.Request)
		change.Refusal, change.Repeated = t.Refusal, change.From == change.To
		s.counts[seatSwap+SeatReason(t.Refusal)]++
		t.Verdict = VerdictGranted
		if t.Refusal != NotRefused {
			t.Verdict = VerdictRefused
		}
	}
	t.Unknown, t.Record, t.Boot = !register.Known, register.Record, s.boot
	t.Put(reply, &g.Keys)
	return AnswerBytes, change
}

// admit looks whether a frame is of the present life of its sender, and not one
// again: 0 if it is. ticket is what the sender's next frame must carry, fresh
// whether this one did.
func (s *Seat) admit(g *group, a *Ask) (ticket uint64, fresh bool) {
	key := seatKey{a.Lane, a.Node}
	present := g.sessions[key]
	if present == nil {
		present = &session{}
		g.sessions[key] = present
	}
	if a.Nonce == present.nonce {
		if a.Ticket != present.ticket {
			return present.ticket, false
		}
		if a.Counter <= present.counter {
			return 0, false
		}
		present.counter = a.Counter
		return present.ticket, true
	}
	ticket = s.ticket(g, a, present.generation)
	if a.Ticket != ticket {
		return ticket, false
	}
	*present = session{nonce: a.Nonce, ticket: ticket, counter: a.Counter, generation: present.generation + 1}
	s.sessions++
	return ticket, true
}

// ticket is never 0. It needs no memory: who asks for one costs the witness
// nothing but the answer.
func (s *Seat) ticket(g *group, a *Ask, generation uint64) uint64 {
	var b [32]byte
	binary.LittleEndian.PutUint64(b[0:], g.Keys.Group)
	binary.LittleEndian.PutUint64(b[8:], a.Nonce)
	binary.LittleEndian.PutUint64(b[16:], generation)
	b[24], b[25] = a.Lane, a.Node
	return max(wire.Sip(s.secret, b[:]), 1)
}

// Register returns a group's register of a lane; false if there is no such
// group.
func (s *Seat) Register(groupName string, laneID uint8) (Register, bool) {
	for _, g := range s.groups {
		if g.Name == groupName {
			return g.lanes[laneID], true
		}
	}
	return Register{}, false
}

// Seed gives a lane that is not known its record, on an operator's word.
func (s *Seat) Seed(groupName string, laneID uint8, record Record) (Refusal, bool) {
	for _, g := range s.groups {
		if g.Name == groupName {
			return g.lanes[laneID].Seed(record), true
		}
	}
	return NotRefused, false
}

// Each calls visit for every register that is known, or whose lane somebody has
// asked for.
func (s *Seat) Each(visit func(groupName string, laneID uint8, g Register)) {
	for _, g := range s.groups {
		var asked [lane.Lanes]bool
		for key := range g.sessions {
			asked[key.lane] = true
		}
		for i, r := range g.lanes {
			if r.Known || asked[i] {
				visit(g.Name, uint8(i), r)
			}
		}
	}
}

// Counters calls visit for what became of the datagrams.
func (s *Seat) Counters(visit func(name string, count uint64)) {
	for r := SeatReason(1); r < seatReasonEnd; r++ {
		visit(r.String(), s.counts[r])
	}
	visit("sessions", s.sessions)
}
