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
	"onebeat/mirror"
	"onebeat/mirror/lane"
	"onebeat/xdp"
	"onebeat/xdp/frame"
)

var udpWorlds atomic.Int32

// newUDPWorld is a world of sockets on loopback: it needs no privileges. Every
// node has an address of its own; lane addresses do not move.
func newUDPWorld(t *testing.T, s setting) *world {
	t.Helper()
	clock, err := NewClock()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: t.TempDir(), set: s, clock: clock, nodes: map[string]*Node{}, frozen: map[string]bool{}, wrap: s.wrap}
	t.Cleanup(w.close)
	pid := os.Getpid()
	ip := func(last byte) netip.Addr {
		return netip.AddrFrom4([4]byte{127, byte(100 + pid/250%100), byte(1 + pid%250), last})
	}
	base := byte(20 * (1 + udpWorlds.Add(1)%10))
	places := map[string]netip.Addr{lab.NodeA: ip(base + 1), lab.NodeB: ip(base + 2), lab.Venue: ip(base + 3), lab.Client: ip(base + 4)}
	shape := sceneOf(&lab.Lab{Topology: lab.Switched, RunDir: w.dir, PinDir: "/nowhere"}, s)
	second := map[string]netip.Addr{lab.NodeA: ip(base + 5), lab.NodeB: ip(base + 6)}
	if s.witness {
		w.startWitness(ip(base + 7).As4())
	}
	w.openUDP(shape, places, second)
	c := blankClient(w)
	port, err := xdp.ListenUDP(places[lab.Client], clientPort)
	if err != nil {
		t.Fatal(err)
	}
	c.port, c.local = port, port.Local()
	for _, place := range []string{lab.NodeA, lab.NodeB} {
		at := places[place]
		c.places = append(c.places, frame.Endpoint{MAC: xdp.StandInMAC(at.As4()), IP: at.As4(), Port: scene.LanePort})
	}
	c.remote = c.places[0]
	c.connect()
	w.client = c
	return w
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
			"interface = \"" + lab.OrderNIC + "\"", "address = \"" + places[place].String() + "\"",
			"interface = \"" + lab.LinkNIC + "\"", ""}
		if w.judge != nil {
			swap = append(swap, netip.AddrFrom4(lab.WitnessIP).String(), w.judge.at.Addr().String())
		}
		for i := range s.Lanes {
			id := s.Lanes[i].ID
			for base, ip := range map[int][4]byte{scene.LanePort: lab.LaneAddress(id), scene.VenuePort: lab.VenueLaneAddress(id)} {
				at := netip.AddrFrom4(ip)
				now := at
				if base == scene.VenuePort {
					now = places[lab.Venue]
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
		w.nodes[from].lanes[0].replica.Commands.Put(mirror.CommandHandover)
		w.untilState(to, lane.Active)
		w.untilState(from, lane.Standby)
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
