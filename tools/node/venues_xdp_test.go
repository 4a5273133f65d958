package node

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"onebeat/bench/lab"
	"onebeat/engine/book"
	"onebeat/engine/client"
	"onebeat/engine/client/conn"
	"onebeat/engine/fix"
	"onebeat/engine/fixp"
	"onebeat/engine/operator"
	"onebeat/engine/sbe"
	"onebeat/mirror/lane"
	"onebeat/mirror/stream"
	"onebeat/tools/control"
)

const auditorSession = "6f9f0a52-5d1a-4d3f-9a34-0d6c5e9f2baa"

// secureVenue are certificates of a venue and of who may come to it: lines of both ends.
func secureVenue(t *testing.T, serverName string) (venueLines, exchangeLines string) {
	t.Helper()
	dir := t.TempDir()
	authority, err := stream.NewAuthority(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	crt, key, err := authority.PEM()
	pair(t, dir, "authority", crt, key, err)
	for i, name := range []string{"venue", "desk"} {
		crt, key, err := authority.Issue(uint8(i+1), time.Hour)
		pair(t, dir, name, crt, key, err)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	venueLines = fixVenue + fmt.Sprintf("tls = true\nauthorities = %q\nserver_name = %q\ncertificate = %q\nkey = %q\n", at("authority.crt"), serverName, at("desk.crt"), at("desk.key"))
	exchangeLines = fmt.Sprintf(`[lane.fix]
port = 9310
certificate = %q
key = %q
authorities = %q
[[lane.fix.session]]
name = "desk"
sender_comp_id = "XCHG"
target_comp_id = "DESK"
certificate_name = %q
`, at("venue.crt"), at("venue.key"), at("authority.crt"), stream.NodeName(2))
	return venueLines, exchangeLines
}

// auditor is a drop copy session of the second venue, over a socket of the client's
// host.
type auditor struct {
	conn   *conn.Conn
	copies map[uint64]int // reports that say New, by the venue's ClOrdID
	owners map[sbe.UUID]bool
}

func (a *auditor) OnReport(*client.Answer, *sbe.ExecutionReport) {}
func (a *auditor) OnReject(*client.Answer, *sbe.Reject)          {}
func (a *auditor) OnDropCopy(owner *sbe.UUID, r *sbe.ExecutionReport) {
	a.owners[*owner] = true
	if r.ExecType() == sbe.ExecTypeNew {
		a.copies[r.ClOrdID()]++
	}
}

func (w *world) audit() *auditor {
	w.t.Helper()
	id, err := parseUUID(auditorSession)
	if err != nil {
		w.t.Fatal(err)
	}
	a := &auditor{copies: map[uint64]int{}, owners: map[sbe.UUID]bool{}}
	err = w.lab.Do(lab.Client, func() (err error) {
		a.conn, err = conn.Open(conn.Config{Client: client.Config{Session: id, Key: fixp.NewKey("auditor"), UnixNs: uint64(time.Now().UnixNano())},
			Local: netip.AddrPortFrom(netip.AddrFrom4(lab.ClientIP), 41_000),
			Hosts: []conn.Host{{Address: netip.AddrPortFrom(netip.AddrFrom4(lab.VenueLaneAddress(1)), 9300)}}}, a)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = a.conn.Close() })
	w.until("the auditor's session", func() bool { a.step(); return a.conn.Client().Ready() })
	return a
}

func (a *auditor) step() {
	a.conn.Receive()
	a.conn.Transmit()
}

// phase changes what the second venue's market does.
func (w *world) phase(p book.Phase) {
	w.t.Helper()
	w.mustOperate(lab.Venue, control.Operate{Kind: operator.MarketPhase.String(), Value: int64(p), Lane: w.venueLane(secondVenue).cfg.ID})
}

// TestVenuesOverAFXDP: a gateway on two nodes sends to a venue by FIXP and to one by FIX
// over TLS. Failovers with orders on their way lose and double none at either; phases
// refuse, collect and trade; drop copies tell an auditor of all of it; and what venues
// forget that come back without their state, while the lane is handed over too, is in doubt.
func TestVenuesOverAFXDP(t *testing.T) {
	venueLines, exchangeLines := secureVenue(t, stream.NodeName(1))
	w := newVenueLab(t, venueLines, fmt.Sprintf("[[lane.session]]\nid = %q\nname = \"auditor\"\nkey = \"auditor\"\n[lane.exchange]\ndrop_copy = [\"auditor\"]\n", auditorSession)+exchangeLines)
	c := w.client
	a := w.audit()
	w.failOverWithOrders(c)
	const taken = 20 + 2*60
	w.checkVenue(lab.Venue, taken)
	w.checkVenue(secondVenue, taken)
	w.until("drop copies", func() bool { a.step(); return len(a.copies) == taken })
	for id, n := range a.copies {
		if n != 1 {
			t.Errorf("order %d was copied %d times", id, n)
		}
	}
	counts := w.laneCounts(lab.NodeA)
	if len(a.owners) != 1 || counts["fix_resets"] != 0 || len(c.doubted) != 0 {
		t.Errorf("%d owners of copies, %d resets, %d orders in doubt", len(a.owners), counts["fix_resets"], len(c.doubted))
	}
	w.checkPhases()
	w.checkForgotten()
	w.sameState()
}

// checkPhases: halted, the market refuses; before it opens it collects what crosses, and
// trades that when it opens.
func (w *world) checkPhases() {
	w.t.Helper()
	c := w.client
	w.phase(book.Halted)
	refused := c.orderIn(2, sbe.SideBuy, 9900)
	w.until("a refusal of a halted market", func() bool { return c.has(refused, sbe.ExecTypeRejected) || c.rejected[refused] > 0 })
	w.phase(book.PreOpen)
	buy, sell := c.orderIn(2, sbe.SideBuy, 10010), c.orderIn(2, sbe.SideSell, 10000)
	c.untilTaken(buy, sell)
	if c.has(buy, sbe.ExecTypeTrade) || c.has(sell, sbe.ExecTypeTrade) {
		w.t.Error("orders traded before the market opened")
	}
	w.phase(book.Open)
	w.until("the auction's trades", func() bool { return c.has(buy, sbe.ExecTypeTrade) && c.has(sell, sbe.ExecTypeTrade) })
}

// checkForgotten: both venues lose their state while the lane is handed over.
func (w *world) checkForgotten() {
	w.t.Helper()
	c := w.client
	resting := []uint64{c.orderIn(1, sbe.SideBuy, 9900), c.orderIn(2, sbe.SideBuy, 9900)}
	c.untilTaken(resting[0], resting[1])
	w.kill(lab.Venue)
	w.cleanup(lab.Venue)
	w.kill(lab.NodeA)
	w.untilState(lab.NodeB, lane.Active)
	w.restart(lab.Venue)
	w.restart(lab.NodeA)
	w.untilState(lab.NodeA, lane.Standby)
	w.until("what is forgotten in doubt", func() bool { return c.doubted[resting[0]] == 1 && c.doubted[resting[1]] == 1 })
	if n := w.laneCounts(lab.NodeB)["gateway_in_doubt"]; n != 2 || len(c.doubted) != 2 {
		w.t.Errorf("%d orders in doubt, the client heard of %d", n, len(c.doubted))
	}
	c.untilTaken(c.both(5)) // both venues are worked with again
}

// TestVenueOfAnotherName: a venue whose certificate has another name than it should is
// told nothing, and orders wait for it.
func TestVenueOfAnotherName(t *testing.T) {
	venueLines, exchangeLines := secureVenue(t, "exchange.example")
	w := newVenueWorld(t, venueLines, exchangeLines)
	id := w.client.orderIn(2, sbe.SideBuy, 9900)
	w.until("handshakes that fail", func() bool {
		return w.nodes[lab.NodeA].lanes[0].fix.acceptor.Counts.Of(fix.CountHandshake) >= 3
	})
	if w.client.has(id, sbe.ExecTypeNew) {
		t.Error("an order went to a venue of another name")
	}
	if n := w.laneCounts(lab.NodeA)["venue_second_state"]; n == 2 {
		t.Error("the session with the venue is up")
	}
}

// TestVenueKeepsHours: at the end of the session's day its Logout comes, and with the next
// day both numbers begin at 1, at the node that took over too. An order of the night is
// refused; one that came before the lane knew of the night may go out in the morning.
// None is in doubt.
func TestVenueKeepsHours(t *testing.T) {
	const hours = "start = \"08:00:00\"\nend = \"17:00:00\"\ntime_zone = \"Europe/London\"\n"
	clock := &wallClock{}
	clock.set(t, "2026-03-10 16:59:50", "Europe/London")
	w := newVenueWorldOf(t, setting{wall: clock.now}, fixVenue+hours, fixExchange+hours+"latency = \"0s\"\n")
	c := w.client
	c.untilTaken(c.both(10))
	clock.set(t, "2026-03-10 17:00:01", "Europe/London")
	w.until("the end of the day", func() bool { return w.laneCounts(lab.NodeA)["venue_second_state"] != 2 })
	late := c.orderIn(2, sbe.SideBuy, 9900)
	w.steps(200)
	w.kill(lab.NodeA) // the night is no reason to forget
	w.untilState(lab.NodeB, lane.Active)
	clock.set(t, "2026-03-11 08:00:01", "Europe/London")
	refused := func() bool { return c.has(late, sbe.ExecTypeRejected) || c.rejected[late] > 0 }
	w.until("what became of an order of the night", func() bool { return c.has(late, sbe.ExecTypeNew) || refused() })
	w.until("the morning", func() bool { return w.laneCounts(lab.NodeB)["venue_second_state"] == 2 })
	w.restart(lab.NodeA)
	w.untilState(lab.NodeA, lane.Standby)
	c.untilTaken(c.both(10))
	if n := w.laneCounts(lab.NodeB)["fix_resets"]; n == 0 {
		t.Error("numbers did not begin anew")
	}
	if len(c.doubted) > 0 || c.has(late, sbe.ExecTypeNew) == refused() {
		t.Errorf("in doubt: %v; the order of the night is refused: %v", c.doubted, refused())
	}
	taken := 20
	if c.has(late, sbe.ExecTypeNew) {
		taken++
	}
	w.checkVenue(secondVenue, taken)
	w.sameState()
}
