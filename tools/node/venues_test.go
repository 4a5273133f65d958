package node

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"testing"

	"onebeat/bench/lab"
	"onebeat/bench/lab/labtest"
	"onebeat/engine/client"
	"onebeat/engine/sbe"
	"onebeat/mirror/lane"
)

// secondVenue is another exchange beside lab.Venue, of worlds of sockets.
const secondVenue = "venue-2"

const secondSession = "6f9f0a52-5d1a-4d3f-9a34-0d6c5e9f2b02"

// newTwoVenues is a world of sockets whose gateway sends symbol 1 to lab.Venue and
// symbol 2 to another.
func newTwoVenues(t *testing.T, venueLines string) *world {
	return newVenueWorld(t, fmt.Sprintf("port = 9300\nlocal_port = 9301\nsession = %q\nkey = \"second\"\n", secondSession)+venueLines, "")
}

// newVenueWorld is such a world: how the gateway speaks to the second venue, and
// further tables of that one's lane.
func newVenueWorld(t *testing.T, venueLines, exchangeLines string) *world {
	return newVenueWorldOf(t, setting{}, venueLines, exchangeLines)
}

func newVenueWorldOf(t *testing.T, set setting, venueLines, exchangeLines string) *world {
	t.Helper()
	w := emptyUDPWorld(t)
	set.app, set.extra = "gateway", `silence = "links"`
	w.set = set
	s := sceneOf(&lab.Lab{Topology: lab.Switched, RunDir: w.dir, PinDir: "/nowhere"}, w.set)
	at := w.loopback(8)
	s.Lanes[0].VenueLines = toSecondVenue(at, venueLines)
	text := fmt.Sprintf("[node]\nname = %q\nnumber = 8\nrun_dir = %q\ntransport = \"udp\"\n[order]\naddress = %q\n", secondVenue, w.dir, at) +
		w.secondVenueLane(0, "10.10.0.250", exchangeLines)
	if err := os.WriteFile(w.configPath(secondVenue), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	w.restart(secondVenue)
	w.startUDP(s)
	w.untilVenues()
	return w
}

// newVenueLab is the same over AF_XDP: the second venue is another lane of the first
// one's process.
func newVenueLab(t *testing.T, venueLines, exchangeLines string) *world {
	t.Helper()
	clock, err := NewClock()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, lab: labtest.Up(t, lab.Switched), set: setting{app: "gateway"}, clock: clock, nodes: map[string]*Node{}, frozen: map[string]bool{}}
	w.dir = w.lab.RunDir
	t.Cleanup(w.close)
	s := sceneOf(w.lab, w.set)
	at := netip.AddrFrom4(lab.VenueLaneAddress(1))
	s.Lanes[0].VenueLines = toSecondVenue(at, venueLines)
	if err := s.Write(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(w.configPath(lab.Venue), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(w.secondVenueLane(1, at.String(), exchangeLines))
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	for _, place := range s.Places() {
		w.restart(place)
	}
	w.client = newTestClient(w)
	w.untilVenues()
	return w
}

func (w *world) untilVenues() {
	w.t.Helper()
	w.untilState(lab.NodeA, lane.Active)
	w.untilState(lab.NodeB, lane.Standby)
	w.until("session", w.client.c.Ready)
}

// toSecondVenue ends the gateway's [[lane.venue]] and adds another.
func toSecondVenue(at netip.Addr, lines string) string {
	return fmt.Sprintf(`default = true
[[lane.venue]]
name = "second"
symbols = ["TWO"]
address = %q
%s
[[lane.symbol]]
id = 2
name = "TWO"
reference_price_ticks = 10000
`, at, lines)
}

// secondVenueLane is the other end.
func (w *world) secondVenueLane(id int, address, lines string) string {
	return fmt.Sprintf(`[[lane]]
id = %d
address = %q
port = 9300
first = true
app = "book"
ring_size = "1MiB"
order_log = %q
[[lane.session]]
id = %q
name = "gateway"
key = "second"
%s
[[lane.symbol]]
id = 2
name = "TWO"
`, id, address, w.dir+"/second.csv", secondSession, lines)
}

// orderIn sends an order in a symbol; bids below the market rest.
func (c *testClient) orderIn(symbol uint32, side sbe.Side, priceTicks int64) uint64 {
	c.nextID++
	if !c.c.SendOrder(&client.Order{ClOrdID: c.nextID, PriceTicks: priceTicks, SymbolID: symbol, QtyLots: 1, Side: side, OrdType: sbe.OrdTypeLimit}, c.w.clock.NowNs()) {
		c.w.t.Fatalf("order %d not taken%s", c.nextID, c.w.describe())
	}
	return c.nextID
}

// both sends n orders to each venue, which trade there in pairs, and returns their
// first and last ClOrdID.
func (c *testClient) both(n int) (first, last uint64) {
	first = c.nextID + 1
	for i := range n {
		for symbol := uint32(1); symbol <= 2; symbol++ {
			c.orderIn(symbol, sbe.Side(1+i%2), 10000)
		}
		c.w.step()
	}
	return first, c.nextID
}

func (c *testClient) has(id uint64, exec sbe.ExecType) bool {
	for _, e := range c.answered[id] {
		if e == exec {
			return true
		}
	}
	return false
}

// untilTaken waits until the venues have taken the orders from first to last.
func (c *testClient) untilTaken(first, last uint64) {
	c.w.t.Helper()
	c.w.until(fmt.Sprintf("orders %d to %d taken by their venues", first, last), func() bool {
		for id := first; id <= last; id++ {
			if !c.has(id, sbe.ExecTypeNew) {
				return false
			}
		}
		return true
	})
}

// venueLane is the lane of a venue.
func (w *world) venueLane(place string) *laneParts {
	if place == secondVenue && w.lab != nil {
		return w.nodes[lab.Venue].lanes[1]
	}
	return w.nodes[place].lanes[0]
}

// checkVenue: a venue took nothing twice, and the orders that it should have.
func (w *world) checkVenue(place string, want int) {
	w.t.Helper()
	log := w.venueLane(place).orders
	seen := map[uint64]bool{}
	for _, a := range log.orders[:log.count.Load()] {
		if seen[a.clOrdID] {
			w.t.Errorf("%s took order %d twice", place, a.clOrdID)
		}
		seen[a.clOrdID] = true
	}
	if len(seen) != want {
		w.t.Errorf("%s took %d orders, want %d", place, len(seen), want)
	}
}

// TestOneVenueDiesAndComesBack: orders to the other one do not notice. Those to the
// dead one wait and go to it when it is back, with its state or without. Of what it
// forgot the client is told that it is in doubt.
func TestOneVenueDiesAndComesBack(t *testing.T) {
	w := newTwoVenues(t, "")
	c := w.client
	c.untilTaken(c.both(40))
	resting := c.orderIn(2, sbe.SideBuy, 9900)
	c.untilTaken(resting, resting)
	away := func() (first, last uint64) {
		w.kill(secondVenue)
		first = c.nextID + 1
		for range 30 {
			c.orderIn(2, sbe.SideBuy, 9800)
			w.step()
		}
		last = c.nextID
		w.until("the lane's own answers", func() bool { return c.c.Unanswered() == 0 })
		for range 30 {
			id := c.orderIn(1, sbe.SideBuy, 9800)
			c.untilTaken(id, id)
		}
		if c.has(first, sbe.ExecTypeNew) {
			t.Fatalf("a dead venue took order %d", first)
		}
		return first, last
	}
	first, last := away()
	w.restart(secondVenue)
	c.untilTaken(first, last)
	w.checkVenue(secondVenue, 41+30) // it applied its log again
	if n := w.laneCounts(lab.NodeA)["gateway_venue_lost"]; n != 0 || len(c.doubted) != 0 {
		t.Errorf("the venue lost reports %d times, %d orders are in doubt", n, len(c.doubted))
	}
	first, last = away()
	w.cleanup(secondVenue)
	w.restart(secondVenue)
	c.untilTaken(first, last)
	w.until("what is forgotten in doubt", func() bool { return len(c.doubted) == 1+30 && c.doubted[resting] == 1 })
	counts := w.laneCounts(lab.NodeA)
	if counts["gateway_in_doubt"] != 31 || counts["gateway_venue_lost"] != 1 {
		t.Errorf("%d orders in doubt, the venue lost reports %d times", counts["gateway_in_doubt"], counts["gateway_venue_lost"])
	}
	w.checkVenue(secondVenue, 30)
	w.checkVenue(lab.Venue, 40+60)
	w.sameState()
}

// TestFailoverWithOrdersAtTwoVenues: the primary dies with orders on their way to
// both, some of them before a throttle. Each venue has each of its orders once.
func TestFailoverWithOrdersAtTwoVenues(t *testing.T) {
	w := newTwoVenues(t, "orders_per_second = 2000\nburst = 5\nqueue = 4096\n")
	c := w.client
	c.untilTaken(c.both(20))
	if s := w.nodes[lab.NodeA].cfg; len(venueStatus(s.Lane(0), w.laneCounts(lab.NodeA))) != 2 || venueStatus(s.Lane(0), w.laneCounts(lab.NodeA))[1].State != "linked" {
		t.Errorf("status %+v", venueStatus(s.Lane(0), w.laneCounts(lab.NodeA)))
	}
	first := c.nextID + 1
	for i := range 40 {
		c.orderIn(1, sbe.Side(1+i%2), 10000)
		c.orderIn(2, sbe.Side(1+i%2), 10000)
	}
	for w.laneCounts(lab.NodeA)["venue_second_queue"] == 0 {
		w.step()
	}
	w.kill(lab.NodeA)
	w.untilState(lab.NodeB, lane.Active)
	c.both(20)
	c.untilTaken(first, c.nextID)
	w.checkVenue(lab.Venue, 80)
	w.checkVenue(secondVenue, 80)
	w.restart(lab.NodeA)
	w.untilState(lab.NodeA, lane.Standby)
	c.untilTaken(c.both(20))
	w.sameState()
	if n := len(c.doubted); n != 0 {
		t.Errorf("%d orders in doubt", n)
	}
}

const (
	fixVenue    = "port = 9310\n[lane.venue.fix]\nsender_comp_id = \"DESK\"\ntarget_comp_id = \"XCHG\"\nheartbeat = \"1s\"\nreset_on_loss = true\n"
	fixExchange = "[lane.fix]\nport = 9310\n[[lane.fix.session]]\nname = \"desk\"\nsender_comp_id = \"XCHG\"\ntarget_comp_id = \"DESK\"\n"
)

// failOverWithOrders kills each primary with orders on their way to both venues, until
// the first one serves again; it takes 140 orders of each to be taken.
func (w *world) failOverWithOrders(c *testClient) {
	w.t.Helper()
	c.untilTaken(c.both(20))
	for _, turn := range []struct{ from, to string }{{lab.NodeA, lab.NodeB}, {lab.NodeB, lab.NodeA}} {
		first := c.nextID + 1
		for i := range 40 {
			c.orderIn(1, sbe.Side(1+i%2), 10000)
			c.orderIn(2, sbe.Side(1+i%2), 10000)
		}
		for range 3 {
			w.step()
		}
		w.kill(turn.from)
		w.untilState(turn.to, lane.Active)
		c.both(20)
		c.untilTaken(first, c.nextID)
		w.restart(turn.from)
		w.untilState(turn.from, lane.Standby)
	}
}

// TestFailoverWithOrdersAtAFIXVenue: the primary dies with orders on their way over
// FIX. The new one logs on with the next number; the venue has each order once, and
// nobody resets anything. The old one comes back and takes over in its turn.
func TestFailoverWithOrdersAtAFIXVenue(t *testing.T) {
	w := newVenueWorld(t, fixVenue, fixExchange)
	c := w.client
	w.failOverWithOrders(c)
	c.untilTaken(c.both(20))
	w.checkVenue(lab.Venue, 20+2*60+20)
	w.checkVenue(secondVenue, 20+2*60+20)
	w.sameState()
	if counts := w.laneCounts(lab.NodeA); counts["fix_resets"] != 0 || len(c.doubted) != 0 {
		t.Errorf("%d resets, %d orders in doubt", counts["fix_resets"], len(c.doubted))
	}
}

// TestMisbehavingVenue: the second venue delays requests, fills parts of resting
// orders with nobody and ends the gateway's session again and again. Each order gets
// there once all the same.
func TestMisbehavingVenue(t *testing.T) {
	w := newVenueWorld(t, fmt.Sprintf("port = 9300\nlocal_port = 9301\nsession = %q\nkey = \"second\"\n", secondSession),
		"[lane.exchange]\nseed = 7\nfill_percent = 30\ndelay_max = \"1ms\"\ndisconnect_every = \"20ms\"\n")
	stop := w.nodes[secondVenue].runDisconnects()
	c := w.client
	first := c.nextID + 1
	for range 10 {
		c.untilTaken(c.both(10))
	}
	w.until("the session ended a few times", func() bool { return w.laneCounts(secondVenue)["session_terminated"] >= 5 })
	c.untilTaken(c.both(10))
	ended := make(chan struct{})
	go func() { stop(); close(ended) }()
	w.until("no more disconnects", func() bool {
		select {
		case <-ended:
			return true
		default:
			return false
		}
	})
	c.untilTaken(first, c.nextID)
	w.checkVenue(secondVenue, 110)
	w.checkVenue(lab.Venue, 110)
	if n := w.laneCounts(secondVenue)["book_delayed"]; n == 0 {
		t.Error("nothing was delayed")
	}
	if len(c.doubted) != 0 {
		t.Errorf("%d orders in doubt", len(c.doubted))
	}
	w.sameState()
}
