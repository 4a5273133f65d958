package node

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"onebeat/bench/lab"
	"onebeat/bench/lab/labtest"
	"onebeat/engine/client"
	"onebeat/engine/fixp"
	"onebeat/engine/sbe"
	"onebeat/mirror/lane"
	"onebeat/tools/config"
	"onebeat/xdp"
	"onebeat/xdp/frame"
)

const (
	clientSession = "6f9f0a52-5d1a-4d3f-9a34-0d6c5e9f1a01"
	venueSession  = "6f9f0a52-5d1a-4d3f-9a34-0d6c5e9f1b01"
	lanePort      = 9000
	clientPort    = 40000
)

// world is a lab whose processes are all in this test: it steps their loops in
// turn on one goroutine, so that a run has an order.
type world struct {
	t      *testing.T
	lab    *lab.Lab // nil: sockets on loopback, no privileges
	dir    string   // run directory
	set    setting
	clock  *Clock
	nodes  map[string]*Node
	frozen map[string]bool // not stepped: SIGSTOP
	client *testClient
	said   map[string][]string                // a node's log lines
	wrap   map[string]func(xdp.Port) xdp.Port // ports of a node to come
}

// setting is what a test wants otherwise than by default.
type setting struct {
	app, policy, release string
	extra                string // lines of [[lane]]
	noPeer               bool
	link                 string // lines of [[link]]
	wrap                 map[string]func(xdp.Port) xdp.Port
}

func newWorld(t *testing.T, s setting) *world {
	t.Helper()
	clock, err := NewClock()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, lab: labtest.Up(t, lab.Switched), set: s, clock: clock, nodes: map[string]*Node{}, frozen: map[string]bool{}, wrap: s.wrap}
	w.dir = w.lab.RunDir
	t.Cleanup(w.close)
	if err := os.WriteFile(filepath.Join(w.dir, "link.key"), []byte(fmt.Sprintf("%064x\n", 12345)), 0o600); err != nil {
		t.Fatal(err)
	}
	if s.app == "gateway" {
		w.open(lab.Venue, venueConfig(w.lab))
	}
	w.open(lab.NodeA, nodeConfig(w.lab, s, 1))
	if !s.noPeer {
		w.open(lab.NodeB, nodeConfig(w.lab, s, 2))
	}
	w.client = newTestClient(w)
	return w
}

// open makes a node in its namespace.
func (w *world) open(place, text string) {
	w.t.Helper()
	if err := os.WriteFile(w.configPath(place), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	if err := w.start(place); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) configPath(place string) string { return filepath.Join(w.dir, place+".toml") }

func (w *world) config(place string) *config.Config {
	w.t.Helper()
	cfg, err := config.Load(w.configPath(place))
	if err != nil {
		w.t.Fatal(err)
	}
	return cfg
}

// start makes a node of the file that open wrote: again, it is a restart.
func (w *world) start(place string) error {
	cfg := w.config(place)
	return w.in(place, func() error {
		n, err := Open(context.Background(), cfg, Options{Clock: w.clock, wrap: w.wrap[place], Log: slog.New(slog.NewTextHandler(testLog{w, place}, nil))})
		if err != nil {
			return err
		}
		w.nodes[place] = n
		n.Start()
		return nil
	})
}

func (w *world) in(place string, f func() error) error {
	if w.lab == nil {
		return f()
	}
	return w.lab.Do(place, f)
}

// restart starts a killed node again.
func (w *world) restart(place string) {
	w.t.Helper()
	if err := w.start(place); err != nil {
		w.t.Fatal(err)
	}
}

// cleanup removes what a killed node left: its ring is gone.
func (w *world) cleanup(place string) {
	w.t.Helper()
	if err := Cleanup(w.config(place)); err != nil {
		w.t.Fatal(err)
	}
}

type testLog struct {
	w     *world
	place string
}

func (l testLog) Write(b []byte) (int, error) {
	l.w.t.Logf("%s: %s", l.place, b)
	if l.w.said == nil {
		l.w.said = map[string][]string{}
	}
	l.w.said[l.place] = append(l.w.said[l.place], string(b))
	return len(b), nil
}

// kill ends a node's process: its sockets close, its pins stay.
func (w *world) kill(place string) {
	w.t.Helper()
	if err := w.nodes[place].Close(); err != nil {
		w.t.Error(err)
	}
	delete(w.nodes, place)
}

func (w *world) close() {
	for place, n := range w.nodes {
		n.logEvents()
		n.keepCuts()
		if err := n.Close(); err != nil {
			w.t.Error(err)
		}
		if err := Cleanup(n.cfg); err != nil {
			w.t.Errorf("%s: %v", place, err)
		}
	}
	if w.client != nil {
		if err := w.client.port.Close(); err != nil {
			w.t.Error(err)
		}
	}
}

// step runs one cycle of everybody.
func (w *world) step() {
	for _, place := range []string{lab.Venue, lab.NodeA, lab.NodeB} {
		n := w.nodes[place]
		if n == nil || w.frozen[place] {
			continue
		}
		for _, p := range n.lanes {
			p.loop.DoWork(w.clock.NowNs())
		}
		n.logEvents()
		n.keepCuts()
	}
	if w.client != nil {
		w.client.step()
	}
}

// until steps until done, at most 10 s.
func (w *world) until(what string, done func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); w.step() {
		if time.Now().After(deadline) {
			w.t.Fatalf("%s: not within 10 s; %s", what, w.describe())
		}
	}
}

func (w *world) describe() string {
	text := ""
	for place, n := range w.nodes {
		for _, p := range n.lanes {
			p.loop.AskReport()
			p.loop.DoWork(w.clock.NowNs())
			report, _ := p.loop.Report()
			counts := ""
			for _, c := range report.Counts {
				if c.Value > 0 {
					counts += fmt.Sprintf(" %s=%d", c.Name, c.Value)
				}
			}
			text += fmt.Sprintf("\n%s: %v tail %d applied %d next output %d peer %v tail %d; record %v%s", place,
				lane.Load(p.mem.authority), p.mem.table.Tail, p.mem.table.Engine.Applied, p.mem.table.NextOutput,
				lane.Word(p.mem.table.Peer.Authority), p.mem.table.Peer.Tail, report.Record, counts)
		}
		if n.kernel != nil {
			reasons, err := n.kernel.Reasons()
			for name, count := range reasons {
				if count > 0 {
					text += fmt.Sprintf(" %s=%d", name, count)
				}
			}
			if err != nil {
				text += err.Error()
			}
		}
	}
	return text + fmt.Sprintf("\nclient: %+v", w.client.c.Stats())
}

func (w *world) word(place string) lane.Word {
	if n := w.nodes[place]; n != nil {
		return lane.Load(n.lanes[0].mem.authority)
	}
	return 0
}

func (w *world) untilState(place string, s lane.State) {
	w.t.Helper()
	w.until(place+" "+s.String(), func() bool { return w.word(place).State() == s })
}

// testClient is an order entry client on AF_XDP.
type testClient struct {
	w        *world
	c        *client.Client
	port     xdp.Port
	local    frame.Endpoint
	remote   frame.Endpoint
	template frame.Template
	buffer   []byte
	nextID   uint64
	answered map[uint64][]sbe.ExecType
	rejected map[uint64]int
	servers  map[[6]byte]int
	// places are where the lane may be when its address does not move with it.
	places  []frame.Endpoint
	heardNs int64
	turn    int
	forget  bool // answers are not kept
}

// lookElsewhereNs of silence make a client of a lane without an address of its
// own try the next node.
const lookElsewhereNs = 15_000_000

func blankClient(w *world) *testClient {
	return &testClient{w: w, answered: map[uint64][]sbe.ExecType{}, rejected: map[uint64]int{}, servers: map[[6]byte]int{}}
}

func newTestClient(w *world) *testClient {
	c := blankClient(w)
	err := w.lab.Do(lab.Client, func() error {
		s, err := xdp.OpenEndpoint(xdp.Options{Interface: lab.OrderNIC}, netip.AddrFrom4(lab.ClientIP), clientPort)
		if err != nil {
			return err
		}
		c.port = s
		c.local = frame.Endpoint{MAC: s.Interface().MAC, IP: lab.ClientIP, Port: clientPort}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	c.remote = frame.Endpoint{MAC: [6]byte(lab.OrderMAC(lab.NodeA)), IP: lab.LaneIP, Port: lanePort}
	c.connect()
	return c
}

// connect makes the client's session anew.
func (c *testClient) connect() {
	c.w.t.Helper()
	id, err := parseUUID(clientSession)
	if err != nil {
		c.w.t.Fatal(err)
	}
	if c.c, err = client.New(client.Config{Session: id, Key: fixp.NewKey("client-1-secret")}, c); err != nil {
		c.w.t.Fatal(err)
	}
}

func parseUUID(text string) (sbe.UUID, error) {
	var u config.UUID
	err := u.UnmarshalText([]byte(text))
	return sbe.UUID(u), err
}

func (c *testClient) step() {
	nowNs := c.w.clock.NowNs()
	n := c.port.Recv(64)
	for i := range n {
		var from frame.Endpoint
		if payload, _, ok := frame.Parse(c.port.Frame(i), &from); ok {
			c.remote.MAC = from.MAC
			c.servers[from.MAC]++
			c.heardNs = nowNs
			if len(c.places) > 0 {
				c.remote = from
			}
			c.c.OnDatagram(payload, nowNs)
		}
	}
	c.port.Done()
	if len(c.places) > 0 && nowNs-c.heardNs > lookElsewhereNs {
		c.heardNs = nowNs
		c.turn++
		c.remote = c.places[c.turn%len(c.places)]
	}
	if c.c.Poll(nowNs, c) > 0 {
		c.port.Kick()
	}
}

func (c *testClient) Buffer() []byte {
	if c.buffer = c.port.Reserve(); c.buffer == nil {
		return nil
	}
	return c.buffer[frame.HeaderBytes:]
}

func (c *testClient) Send(payloadBytes int) {
	c.template.Put(c.buffer, &c.local, clientPort, &c.remote, payloadBytes)
	c.port.Submit(frame.HeaderBytes + payloadBytes)
}

func (c *testClient) OnReport(_ *client.Answer, r *sbe.ExecutionReport) {
	if c.forget {
		return
	}
	c.answered[r.ClOrdID()] = append(c.answered[r.ClOrdID()], r.ExecType())
}

func (c *testClient) OnReject(_ *client.Answer, r *sbe.Reject) { c.rejected[r.ClOrdID()]++ }

// order sends one order, buying and selling in turn so that they trade.
func (c *testClient) order() uint64 {
	c.nextID++
	side := sbe.SideBuy
	if c.nextID%2 == 0 {
		side = sbe.SideSell
	}
	ok := c.c.SendOrder(&client.Order{ClOrdID: c.nextID, PriceTicks: 10000, SymbolID: 1, QtyLots: 1,
		Side: side, OrdType: sbe.OrdTypeLimit, TimeInForce: sbe.TimeInForceDay}, c.w.clock.NowNs())
	if !ok {
		c.w.t.Fatalf("order %d not taken%s", c.nextID, c.w.describe())
	}
	return c.nextID
}

func nodeConfig(l *lab.Lab, s setting, number int) string {
	place, nic, link, peer, own, other := lab.NodeA, lab.NodeALinkIP, lab.NodeBLinkIP, 2, lab.NodeAIP, lab.NodeBIP
	if number == 2 {
		place, nic, link, peer, own, other = lab.NodeB, lab.NodeBLinkIP, lab.NodeALinkIP, 1, lab.NodeBIP, lab.NodeAIP
	}
	text := fmt.Sprintf(`
[node]
name = "%s"
number = %d
bpffs = "%s"
run_dir = "%s"
[order]
interface = "%s"
`, place, number, l.BPFFS(place), l.RunDir, lab.OrderNIC)
	if !s.noPeer {
		text += fmt.Sprintf(`
[[link]]
peer = %d
interface = "%s"
address = "%s"
peer_address = "%s"
order_address = "%s"
peer_order_address = "%s"
key_file = "link.key"
%s
`, peer, lab.LinkNIC, netip.AddrFrom4(nic), netip.AddrFrom4(link), netip.AddrFrom4(own), netip.AddrFrom4(other), s.link)
	}
	text += fmt.Sprintf(`
[[lane]]
id = 0
address = "%s"
port = %d
first = %t
app = "%s"
heartbeat = "20ms"
hang_budget = "40ms"
ring_size = "1MiB"
%s
`, netip.AddrFrom4(lab.LaneIP), lanePort, number == 1, s.app, s.extra)
	if !s.noPeer {
		text += fmt.Sprintf("peer = %d\n", peer)
	}
	if s.policy != "" {
		text += fmt.Sprintf("policy = %q\n", s.policy)
	}
	if s.release != "" {
		text += fmt.Sprintf("release = %q\n", s.release)
	}
	text += fmt.Sprintf("[[lane.session]]\nid = %q\nname = \"client-1\"\nkey = \"client-1-secret\"\n", clientSession)
	if s.app == "gateway" {
		text += fmt.Sprintf(`[lane.venue]
address = "%s"
port = 9100
local_port = 9001
session = "%s"
key = "gateway-secret"
[lane.risk]
max_qty_lots = 1000
max_notional = 50000000
collar_percent = 10
max_position_lots = 100000000
`, netip.AddrFrom4(lab.VenueLaneIP), venueSession)
	}
	return text + "[[lane.symbol]]\nid = 1\nname = \"ONEB\"\nreference_price_ticks = 10000\n"
}

func venueConfig(l *lab.Lab) string {
	return fmt.Sprintf(`
[node]
name = "venue"
number = 9
bpffs = "%s"
run_dir = "%s"
[order]
interface = "%s"
[[lane]]
id = 0
address = "%s"
port = 9100
first = true
app = "book"
ring_size = "1MiB"
order_log = "%s/venue-orders.csv"
[[lane.session]]
id = "%s"
name = "gateway"
key = "gateway-secret"
[[lane.symbol]]
id = 1
name = "ONEB"
reference_price_ticks = 10000
`, l.BPFFS(lab.Venue), l.RunDir, lab.OrderNIC, netip.AddrFrom4(lab.VenueLaneIP), l.RunDir, venueSession)
}
