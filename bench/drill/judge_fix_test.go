package drill

import (
	"fmt"
	"strings"
	"testing"

	"onebeat/bench/fixpeers"
)

// story is a history of a client that lost its connection once, after ten orders of
// which the last two came back under PossDup.
type story struct {
	events  []fixpeers.Event
	ns      int64
	out, in uint64
	venue   []VenueOrder
}

func (s *story) add(e fixpeers.Event) {
	s.ns += 1_000_000
	e.Ns = s.ns
	s.events = append(s.events, e)
}

func (s *story) sent(e fixpeers.Event) {
	s.out++
	e.Seq = s.out
	s.add(e)
}

func (s *story) got(e fixpeers.Event) {
	s.in++
	e.Seq = s.in
	s.add(e)
}

func (s *story) logon() {
	s.add(fixpeers.Event{Event: fixpeers.Connecting})
	s.sent(fixpeers.Event{Event: fixpeers.Sent, Type: "A"})
	s.got(fixpeers.Event{Event: fixpeers.Got, Type: "A"})
	s.add(fixpeers.Event{Event: fixpeers.Logon})
}

func (s *story) order(id int) {
	s.sent(fixpeers.Event{Event: fixpeers.Order, ID: fmt.Sprint(id)})
	s.venue = append(s.venue, VenueOrder{ClOrdID: uint64(id)<<16 | 7})
}

func (s *story) reports(id int, dup bool) {
	for _, exec := range []string{"A", "0", "F"} {
		s.got(fixpeers.Event{Event: fixpeers.Report, Type: "8", ID: fmt.Sprint(id), Exec: exec, PossDup: dup})
	}
}

func tell() *story {
	s := &story{}
	s.logon()
	for id := 1; id <= 10; id++ {
		s.order(id)
		if id < 9 {
			s.reports(id, false)
		}
	}
	s.add(fixpeers.Event{Event: fixpeers.Logout})
	s.logon()
	s.reports(9, true)
	s.reports(10, true)
	s.got(fixpeers.Event{Event: fixpeers.Got, Type: "4", NewSeq: s.in + 4})
	s.in += 2
	for id := 11; id <= 20; id++ {
		s.order(id)
		s.reports(id, false)
	}
	s.add(fixpeers.Event{Event: fixpeers.Ending})
	s.sent(fixpeers.Event{Event: fixpeers.Sent, Type: "5"})
	s.got(fixpeers.Event{Event: fixpeers.Got, Type: "5"})
	return s
}

// find returns the place of the n-th event that is like this.
func (s *story) find(t *testing.T, kind, typ, id, exec string) *fixpeers.Event {
	t.Helper()
	for i := range s.events {
		if e := &s.events[i]; e.Event == kind && (typ == "" || e.Type == typ) && (id == "" || e.ID == id) && (exec == "" || e.Exec == exec) {
			return e
		}
	}
	t.Fatalf("no %s %s %s %s", kind, typ, id, exec)
	return nil
}

func (s *story) logs() *Logs {
	lost := int64(0)
	for _, e := range s.events {
		if e.Event == fixpeers.Logout {
			lost = e.Ns
		}
	}
	m := Mark{AtNs: lost - 500_000, What: "a fault", Moves: Move, Epochs: 2, Epoch: 3, Successor: [6]byte{2}, CandidateNs: lost, ActiveNs: lost + 1000}
	return &Logs{FIX: s.events, Orders: ordersOf(s.events), Venue: s.venue, Marks: []Mark{m}, StartEpoch: 3, Survivor: NodeLog{Epoch: 5}}
}

func TestJudgeFIX(t *testing.T) {
	s := tell()
	v := Judge(s.logs())
	if !v.OK() || v.OrdersSent != 20 || v.OrdersAcked != 20 || len(v.Outages) != 1 || len(v.Reconnects) != 1 || len(v.Attempts) != 1 {
		t.Fatalf("%+v", v)
	}
	// From the attempt: two messages, the logon, 6 reports, a gap, the order, its report.
	if want := int64(12_000_000); v.Reconnects[0] != want || v.Outages[0] != want+1_500_000 {
		t.Errorf("reconnect %d, outage %d", v.Reconnects[0], v.Outages[0])
	}
	// A client that was away already when it happened.
	l := s.logs()
	l.Marks[0].AtNs += 1_000_000
	l.Marks[0].CandidateNs += 1_000_000
	l.Marks[0].ActiveNs += 1_000_000
	if v := Judge(l); !v.OK() || len(v.Reconnects) != 1 || v.Reconnects[0] != 12_000_000 {
		t.Errorf("%+v", v)
	}
	for name, c := range map[string]struct {
		change func(s *story)
		want   string
	}{
		"a reset at logon":      {func(s *story) { s.find(t, fixpeers.Got, "A", "", "").Reset = true }, "were reset"},
		"a sequence reset":      {func(s *story) { s.find(t, fixpeers.Got, "4", "", "").Reset = true }, "were reset"},
		"never acknowledged":    {func(s *story) { drop(s, "5") }, "were never acknowledged"},
		"a number that is lost": {func(s *story) { s.find(t, fixpeers.Report, "8", "12", "F").Seq = 1000 }, "never came"},
		"acknowledged twice": {func(s *story) {
			s.find(t, fixpeers.Report, "8", "4", "F").Exec = "0"
		}, "were acknowledged twice"},
		"a number for two": {func(s *story) {
			e := s.find(t, fixpeers.Report, "8", "13", "A")
			e.Seq = s.find(t, fixpeers.Report, "8", "12", "A").Seq
		}, "stands for"},
		"a number that went back": {func(s *story) { s.find(t, fixpeers.Report, "8", "20", "A").Seq = 3 }, "went from"},
		"the client's numbers":    {func(s *story) { s.find(t, fixpeers.Order, "", "15", "").Seq = 1 }, "the client's number"},
		"refused":                 {func(s *story) { s.find(t, fixpeers.Report, "8", "15", "F").Exec = "8" }, "were refused"},
		"a Reject":                {func(s *story) { s.find(t, fixpeers.Got, "A", "", "").Type = "3" }, "sent Reject"},
		"thrown out":              {func(s *story) { s.find(t, fixpeers.Got, "A", "", "").Type = "5" }, "sent Logout"},
		"strange":                 {func(s *story) { s.find(t, fixpeers.Order, "", "6", "").Event = fixpeers.Sent }, "never sent"},
		"twice at the venue":      {func(s *story) { s.venue[3].ClOrdID = s.venue[2].ClOrdID }, "by the venue twice"},
		"not at the venue":        {func(s *story) { s.venue = s.venue[:19] }, "never reached the venue"},
		"unknown at the client":   {func(s *story) { s.venue = append(s.venue, VenueOrder{ClOrdID: 1}) }, "never sent"},
		"it stayed away": {func(s *story) {
			for i := range s.events {
				if s.events[i].Event == fixpeers.Logout {
					s.events = s.events[:i+1]
					return
				}
			}
		}, "no acknowledgement any more"},
		"its connection stayed": {func(s *story) { s.find(t, fixpeers.Logout, "", "", "").Event = fixpeers.Said }, "connection stayed"},
	} {
		t.Run(name, func(t *testing.T) {
			logs := tell()
			mark := logs.logs().Marks
			c.change(logs)
			l := logs.logs()
			l.Marks = mark
			v := Judge(l)
			if !strings.Contains(strings.Join(v.Problems, "; "), c.want) {
				t.Errorf("%q, want %q", v.Problems, c.want)
			}
		})
	}
}

// drop takes an order's reports away, and their numbers with them.
func drop(s *story, id string) {
	for i := range s.events {
		if e := &s.events[i]; e.Event == fixpeers.Report && e.ID == id {
			e.ID = "unknown"
		}
	}
}
