package node

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"onebeat/bench/lab"
	"onebeat/bench/lab/labtest"
	"onebeat/bench/scene"
	"onebeat/engine/app"
	"onebeat/mirror/lane"
	"onebeat/tools/config"
	"onebeat/xdp"
	"onebeat/xdp/frame"
)

const clientPort = 40000 // of lane 0's client; that of lane n has n more

// world is a lab whose processes are all in this test: it steps their loops in
// turn on one goroutine, so that a run has an order.
type world struct {
	t   *testing.T
	lab *lab.Lab // nil: sockets on loopback, no privileges
	dir string   // run directory
	// loopback are addresses of 127/8 that no other world has: without a lab.
	loopback func(last byte) netip.Addr
	set      setting
	clock    *Clock
	nodes    map[string]*Node
	frozen   map[string]bool                    // not stepped: SIGSTOP
	client   *testClient                        // lane 0's
	others   []*testClient                      // further lanes'
	said     lines                              // what the nodes log
	wrap     map[string]func(xdp.Port) xdp.Port // ports of a node to come
	judge    *judge                             // nil: arbitration pair
	faulty   func(net.Conn) net.Conn            // what a node's stream connections go through; nil: nothing
	// loopsOnly: nothing works beside the loops, which are measured.
	loopsOnly bool
	// keeping are the lanes whose keepers work just now; kept hears when one ends.
	keeping map[*laneParts]bool
	kept    chan *laneParts
}

// setting is what a test wants otherwise than by default.
type setting struct {
	app, policy, release string
	extra                string // lines of [[lane]]
	session              string // lines of [[lane.session]]
	noPeer               bool
	link                 string     // lines of [[link]]
	sections             string     // of every node's file
	calm                 bool       // slow to accuse: nothing is to move by itself
	vlan                 frame.VLAN // of everybody on the order network
	ipv6                 bool       // the addresses of lane, venue and client
	stack6               bool       // and the kernels of nodes and venue have IPv6: for TCP
	wrap                 map[string]func(xdp.Port) xdp.Port
	alter                map[string]func(app.Machine) app.Machine
	witness              bool   // arbitration witness
	etcd                 string // endpoint of a member: arbitration etcd
	certificates         string // directory of those of streams
	tcp                  map[int][]uint16
	wall                 func() time.Time // of FIX sessions
}

// address is one of the order network's.
func (s *setting) address(ip [4]byte) frame.IP {
	if s.ipv6 {
		return lab.InIPv6(ip)
	}
	return frame.IPv4(ip)
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
	if s.witness {
		w.startWitness(lab.WitnessIP)
	}
	if s.stack6 {
		w.stacks6()
	}
	w.open(sceneOf(w.lab, s))
	w.client = newTestClient(w)
	return w
}

// open writes the files of a scene and makes its nodes, each in its namespace.
func (w *world) open(s *scene.Scene) {
	w.t.Helper()
	if err := s.Write(); err != nil {
		w.t.Fatal(err)
	}
	for _, place := range s.Places() {
		if err := w.start(place); err != nil {
			w.t.Fatal(err)
		}
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
		n, err := Open(context.Background(), cfg, Options{Clock: w.clock, wrap: w.wrap[place], Dial: w.dialer(place), alter: w.set.alter[place], tcp: w.set.tcp, wall: w.set.wall, Log: slog.New(slog.NewTextHandler(testLog{w, place}, nil))})
		if err != nil {
			return err
		}
		w.nodes[place] = n
		n.Start()
		n.closer = append(n.closer, func(stop func()) func() error {
			return func() error { stop(); return nil }
		}(n.runCatchers()))
		stopCopies := n.runCopies()
		n.closer = append(n.closer, func() error { stopCopies(); return nil })
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
	l.w.said.add(l.place, string(b))
	return len(b), nil
}

// lines are log lines by place; keepers beside the loops log, too.
type lines struct {
	mu   sync.Mutex
	from map[string][]string
}

func (l *lines) add(place, line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.from == nil {
		l.from = map[string][]string{}
	}
	l.from[place] = append(l.from[place], line)
}

func (l *lines) of(place string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.from[place])
}

// keep lets a lane's keeper do a piece of work beside the loops, as in a node: it
// replays for longer than a hang budget.
func (w *world) keep(p *laneParts) {
	if w.keeping == nil {
		w.keeping, w.kept = map[*laneParts]bool{}, make(chan *laneParts, 64)
	}
	if !w.keeping[p] {
		w.keeping[p] = true
		go func() {
			p.keeper.step(w.clock.NowNs())
			w.kept <- p
		}()
	}
	for w.keepersEnded(false) {
	}
}

// keepersEnded takes in a keeper that ended; wait: as long as any works.
func (w *world) keepersEnded(wait bool) bool {
	if wait && len(w.keeping) > 0 {
		delete(w.keeping, <-w.kept)
		return true
	}
	select {
	case p := <-w.kept:
		delete(w.keeping, p)
		return true
	default:
		return false
	}
}

// kill ends a node's process: its sockets close, its pins stay.
func (w *world) kill(place string) {
	w.t.Helper()
	for w.keepersEnded(true) {
	}
	for _, p := range w.nodes[place].lanes {
		if err := p.keeper.close(); err != nil {
			w.t.Error(err)
		}
	}
	if err := w.nodes[place].Close(); err != nil {
		w.t.Error(err)
	}
	delete(w.nodes, place)
}

func (w *world) close() {
	for w.keepersEnded(true) {
	}
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
	for _, c := range w.clients() {
		if err := c.port.Close(); err != nil {
			w.t.Error(err)
		}
	}
}

func (w *world) clients() []*testClient {
	if w.client == nil {
		return nil
	}
	return append([]*testClient{w.client}, w.others...)
}

// step runs one cycle of everybody.
func (w *world) step() {
	for _, place := range []string{lab.Venue, secondVenue, lab.NodeA, lab.NodeB, lab.NodeC} {
		n := w.nodes[place]
		if n == nil || w.frozen[place] {
			continue
		}
		for _, p := range n.lanes {
			p.loop.DoWork(w.clock.NowNs())
		}
		if !w.loopsOnly {
			n.logEvents()
			n.keepCuts()
		}
		for _, p := range n.lanes {
			if p.archive != nil {
				p.archive.Step(w.clock.NowNs())
			}
			if !w.loopsOnly {
				w.keep(p)
			}
		}
	}
	if w.client != nil {
		w.client.step()
	}
	for _, c := range w.others {
		c.step()
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
			text += fmt.Sprintf("\n%s lane %d: %v tail %d applied %d next output %d peer %v tail %d; record %v%s", place, p.cfg.ID,
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
	for _, c := range w.clients() {
		text += fmt.Sprintf("\nclient of lane %d: %+v", c.lane, c.c.Stats())
	}
	return text
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

// sceneOf describes the lane of a setting.
func sceneOf(l *lab.Lab, s setting) *scene.Scene {
	lines := "heartbeat = \"20ms\"\nhang_budget = \"120ms\"\n"
	if s.calm {
		lines = "heartbeat = \"100ms\"\nhang_budget = \"800ms\"\n"
	}
	lines += "ring_size = \"1MiB\"\n" + s.extra + "\n"
	if s.policy != "" {
		lines += fmt.Sprintf("policy = %q\n", s.policy)
	}
	if s.release != "" {
		lines += fmt.Sprintf("release = %q\n", s.release)
	}
	sections := s.sections
	if s.witness {
		sections += fmt.Sprintf("[witness]\naddress = \"%s:%d\"\nkey_file = \"witness.key\"\n", netip.AddrFrom4(lab.WitnessIP), witnessPort)
		lines += "arbitration = \"witness\"\n"
	}
	if s.etcd != "" {
		sections += fmt.Sprintf("[etcd]\nendpoints = [%q]\nprefix = \"/onebeat/test\"\n", s.etcd)
		lines += "arbitration = \"etcd\"\n"
	}
	lanes := scene.OneLane(s.app, lines)
	lanes[0].SessionLines = s.session
	if s.noPeer {
		lanes[0].Standby = ""
	}
	order := ""
	if s.vlan != 0 {
		order = fmt.Sprintf("vlan = %d", s.vlan)
	}
	return &scene.Scene{Lab: l, Lanes: lanes, IPv6: s.ipv6, LinkLines: s.link, OrderLines: order, NodeLines: sections, VenueLines: `ring_size = "1MiB"`}
}
