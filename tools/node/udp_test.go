package node

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"onebeat/bench/lab"
	"onebeat/bench/scene"
	"onebeat/mirror/lane"
	"onebeat/xdp"
	"onebeat/xdp/frame"
)

var udpWorlds atomic.Int32

// newUDPWorld is a world of sockets on loopback: it needs no privileges. Every
// node has an address of its own; lane addresses do not move.
func newUDPWorld(t *testing.T, s setting) *world {
	t.Helper()
	w := emptyUDPWorld(t)
	w.set, w.wrap = s, s.wrap
	w.startUDP(sceneOf(&lab.Lab{Topology: lab.Switched, RunDir: w.dir, PinDir: "/nowhere"}, s))
	return w
}

// newUDPLanes is such a world with several lanes.
func newUDPLanes(t *testing.T, lanes []scene.Lane) *world {
	t.Helper()
	w := emptyUDPWorld(t)
	w.startUDP(&scene.Scene{Lab: &lab.Lab{Topology: lab.Switched, RunDir: w.dir, PinDir: "/nowhere"}, Lanes: lanes, VenueLines: `ring_size = "1MiB"`})
	return w
}

func emptyUDPWorld(t *testing.T) *world {
	t.Helper()
	clock, err := NewClock()
	if err != nil {
		t.Fatal(err)
	}
	pid, base := os.Getpid(), byte(20*(1+udpWorlds.Add(1)%10))
	ip := func(last byte) netip.Addr {
		return netip.AddrFrom4([4]byte{127, byte(100 + pid/250%100), byte(1 + pid%250), base + last})
	}
	w := &world{t: t, loopback: ip, dir: t.TempDir(), clock: clock, nodes: map[string]*Node{}, frozen: map[string]bool{}}
	t.Cleanup(w.close)
	return w
}

// startUDP opens a scene's nodes and a client for each lane, on addresses of
// 127/8 that no other world has.
func (w *world) startUDP(s *scene.Scene) {
	w.t.Helper()
	ip := w.loopback
	places := map[string]netip.Addr{lab.NodeA: ip(1), lab.NodeB: ip(2), lab.Venue: ip(3), lab.Client: ip(4)}
	second := map[string]netip.Addr{lab.NodeA: ip(5), lab.NodeB: ip(6)}
	if w.set.witness {
		w.startWitness(ip(7).As4())
	}
	w.openUDP(s, places, second)
	for _, l := range s.Lanes {
		c := blankClient(w)
		port, err := xdp.ListenUDP(w.over(places[lab.Client]), uint16(clientPort+l.ID))
		if err != nil {
			w.t.Fatal(err)
		}
		c.lane, c.port, c.local = l.ID, port, port.Local()
		for _, place := range []string{l.Primary, lab.NodeA, lab.NodeB} {
			at := w.over(places[place])
			c.places = append(c.places, frame.Endpoint{MAC: xdp.StandInMAC(at.As16()), IP: at.As16(), Port: uint16(scene.LanePort + l.ID)})
		}
		c.remote = c.places[0]
		c.connect()
		w.others = append(w.others, c)
	}
	w.client, w.others = w.others[0], w.others[1:]
}

// over is what an address of the order network is in the family of a setting.
func (w *world) over(ip netip.Addr) netip.Addr {
	return netip.AddrFrom16(w.set.address(ip.As4())).Unmap()
}

// openUDP opens a scene with its places on loopback: a lane is found at its
// node, by a port of its own. The second path has addresses of its own.
func (w *world) openUDP(s *scene.Scene, places, second map[string]netip.Addr) {
	w.t.Helper()
	if err := s.Write(); err != nil {
		w.t.Fatal(err)
	}
	for _, place := range s.Places() {
		b, err := os.ReadFile(w.configPath(place))
		if err != nil {
			w.t.Fatal(err)
		}
		swap := []string{"number =", "transport = \"udp\"\nnumber =",
			"interface = \"" + lab.OrderNIC + "\"", "address = \"" + w.over(places[place]).String() + "\"",
			"interface = \"" + lab.LinkNIC + "\"", ""}
		if w.judge != nil {
			swap = append(swap, netip.AddrFrom4(lab.WitnessIP).String(), w.judge.at.Addr().String())
		}
		for i := range s.Lanes {
			id := s.Lanes[i].ID
			for base, ip := range map[int][4]byte{scene.LanePort: lab.LaneAddress(id), scene.VenuePort: lab.VenueLaneAddress(id)} {
				at := w.over(netip.AddrFrom4(ip))
				now := at
				if base == scene.VenuePort {
					now = w.over(places[lab.Venue])
				}
				swap = append(swap, fmt.Sprintf("address = %q\nport = %d\nlocal_port = %d", at, base, scene.LaneVenuePort),
					fmt.Sprintf("address = %q\nport = %d\nlocal_port = %d", now, base+id, scene.LaneVenuePort+100+id),
					fmt.Sprintf("address = %q\nport = %d", at, base), fmt.Sprintf("address = %q\nport = %d", now, base+id))
			}
		}
		for _, node := range s.Lab.Nodes() {
			for _, e := range s.Lab.Links(node) {
				swap = append(swap, netip.AddrFrom4(e.IP).String(), places[node].String(),
					fmt.Sprintf("%q", netip.AddrFrom4(lab.OrderIP(node))), fmt.Sprintf("%q", second[node]))
			}
		}
		if err := os.WriteFile(w.configPath(place), []byte(strings.NewReplacer(swap...).Replace(string(b))), 0o600); err != nil {
			w.t.Fatal(err)
		}
		if err := w.start(place); err != nil {
			w.t.Fatal(err)
		}
	}
}

func steadyUDP(t *testing.T, s setting) *world {
	w := newUDPWorld(t, s)
	w.untilState(lab.NodeA, lane.Active)
	if !s.noPeer {
		w.untilState(lab.NodeB, lane.Standby)
	}
	w.until("session", w.client.c.Ready)
	w.orders(200)
	return w
}

// The same mirror over sockets: orders are answered by their rides.
func TestUDPOrdersRide(t *testing.T) {
	for _, release := range []string{"ride", "user"} {
		t.Run(release, func(t *testing.T) {
			w := steadyUDP(t, setting{app: "book", release: release})
			before := w.laneCounts(lab.NodeA)["released_by_user"]
			for range 100 {
				id := w.client.order()
				w.until("answer", func() bool { return len(w.client.answered[id]) > 0 })
			}
			byUser := w.laneCounts(lab.NodeA)["released_by_user"] - before
			if release == "ride" && byUser > 10 || release == "user" && byUser < 100 {
				t.Fatalf("user space released %d of 100", byUser)
			}
			w.checkOnce()
			w.sameState()
		})
	}
}

func TestUDPHandover(t *testing.T) {
	w := steadyUDP(t, setting{app: "gateway"})
	for range 2 {
		from, to := lab.NodeA, lab.NodeB
		if w.word(lab.NodeB).State() == lane.Active {
			from, to = to, from
		}
		w.giveLane(from, to)
		w.orders(100)
		w.sameState()
	}
	w.checkOnce()
}

// Without kernel programs a dead process says nothing: its standby promotes on
// silence, if the configuration lets it, and not otherwise.
func TestUDPKillIsNoticedBySilence(t *testing.T) {
	w := steadyUDP(t, setting{app: "gateway", extra: `silence = "links"`})
	for range 50 {
		w.client.order()
	}
	w.client.step()
	w.kill(lab.NodeA)
	w.orders(100)
	if w.word(lab.NodeB).State() != lane.Active || lane.Why(w.nodes[lab.NodeB].lanes[0].mem.table.Watch.CandidateWhy) != lane.WhySilent {
		t.Fatal(w.describe())
	}
	w.restart(lab.NodeA)
	w.untilState(lab.NodeA, lane.Standby)
	w.orders(100)
	w.checkOnce()
	w.sameState()
}

func TestUDPSilenceAloneProvesNothing(t *testing.T) {
	w := steadyUDP(t, setting{app: "book"})
	word := w.word(lab.NodeB)
	w.kill(lab.NodeA)
	w.steps(200 * time.Millisecond)
	if w.word(lab.NodeB) != word {
		t.Fatal(w.describe())
	}
	// The writer comes back parked and says so: its log is the greater.
	w.restart(lab.NodeA)
	w.until("someone serves", func() bool {
		return w.word(lab.NodeA).State() == lane.Active || w.word(lab.NodeB).State() == lane.Active
	})
	w.orders(100)
	w.checkOnce()
	w.sameState()
}

// The ring is a file: the next process goes on with it.
func TestUDPRingFileIsAdopted(t *testing.T) {
	w := steadyUDP(t, setting{app: "gateway", noPeer: true})
	for range 2 {
		tail, incarnation := w.nodes[lab.NodeA].lanes[0].mem.table.Tail, w.nodes[lab.NodeA].lanes[0].mem.table.Config.Incarnation
		w.kill(lab.NodeA)
		w.restart(lab.NodeA)
		w.untilState(lab.NodeA, lane.Active)
		m := &w.nodes[lab.NodeA].lanes[0].mem
		if m.table.Tail <= tail || m.table.Config.Incarnation != incarnation {
			t.Fatalf("not adopted: tail %d after %d, incarnation %x after %x", m.table.Tail, tail, m.table.Config.Incarnation, incarnation)
		}
		w.orders(100)
	}
	w.checkOnce()
	if err := w.start(lab.NodeA); !errors.Is(err, ErrRunning) {
		t.Fatalf("a second process was let in: %v", err)
	}
	w.kill(lab.NodeA)
	w.cleanup(lab.NodeA)
	if left, err := filepath.Glob(filepath.Join(w.dir, lab.NodeA+"*")); err != nil || len(left) != 1 { // its .toml
		t.Fatalf("left: %v, %v", left, err)
	}
}

// A standby that restarts, with its file and without.
func TestUDPStandbyRestarts(t *testing.T) {
	for _, clean := range []bool{false, true} {
		t.Run(fmt.Sprint("clean ", clean), func(t *testing.T) {
			w := steadyUDP(t, setting{app: "gateway", extra: `silence = "links"`})
			w.kill(lab.NodeB)
			if clean {
				w.cleanup(lab.NodeB)
			}
			for range 50 {
				w.client.order()
				w.step()
			}
			w.restart(lab.NodeB)
			w.untilState(lab.NodeB, lane.Standby)
			w.orders(100)
			w.sameState()
			w.kill(lab.NodeA)
			w.orders(100)
			w.checkOnce()
		})
	}
}

// Two lanes with opposite primaries over sockets: each link port is shared, and
// the kernel sorts its datagrams by lane.
func TestUDPActiveActive(t *testing.T) {
	lanes := scene.ActiveActive("gateway", laneLines+"silence = \"links\"\n")
	w := newUDPLanes(t, lanes)
	for i := range lanes {
		l := &lanes[i]
		w.untilLane(l.Primary, l.ID, lane.Active)
		w.untilLane(l.Standby, l.ID, lane.Standby)
		w.until("session", w.clientOf(l.ID).c.Ready)
	}
	w.everybodyOrders(100)
	before := w.words(lab.NodeB, 1)
	w.handOver(lab.NodeA, func(n *Node) error { return n.handover(0) })
	w.untilLane(lab.NodeB, 0, lane.Active)
	w.untilLane(lab.NodeA, 0, lane.Standby)
	w.everybodyOrders(100)
	w.unmoved(lab.NodeB, before)

	w.kill(lab.NodeB) // serves both; nobody but silence tells
	w.everybodyOrders(100)
	w.restart(lab.NodeB)
	for id := range lanes {
		w.untilLane(lab.NodeA, id, lane.Active)
		w.untilLane(lab.NodeB, id, lane.Standby)
	}
	w.everybodyOrders(100)
	w.inOneState(lanes)
	w.checkOnce()
}
