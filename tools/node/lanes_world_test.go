package node

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"
	"time"

	"onebeat/bench/lab"
	"onebeat/bench/lab/labtest"
	"onebeat/bench/scene"
	"onebeat/mirror/lane"
	"onebeat/xdp"
	"onebeat/xdp/frame"
)

// laneLines are a lane's in a world that one goroutine steps: it does not step
// the others while it takes a node down, and their lanes shall not move.
const laneLines = "heartbeat = \"20ms\"\nhang_budget = \"500ms\"\nring_size = \"1MiB\"\n"

// newLanesWorld brings several lanes to work, each with a client.
func newLanesWorld(t *testing.T, topology lab.Topology, lanes []scene.Lane) *world {
	t.Helper()
	return newLanesWorldIn(t, setting{}, topology, lanes)
}

func newLanesWorldIn(t *testing.T, set setting, topology lab.Topology, lanes []scene.Lane) *world {
	t.Helper()
	clock, err := NewClock()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, lab: labtest.Up(t, topology), set: set, clock: clock, nodes: map[string]*Node{}, frozen: map[string]bool{}}
	w.dir = w.lab.RunDir
	t.Cleanup(w.close)
	w.open(&scene.Scene{Lab: w.lab, Lanes: lanes, IPv6: set.ipv6, VenueLines: `ring_size = "1MiB"`})
	w.openClients(lanes)
	for i := range lanes {
		l := &lanes[i]
		w.untilLane(l.Primary, l.ID, lane.Active)
		if l.Standby != "" {
			w.untilLane(l.Standby, l.ID, lane.Standby)
		}
		w.until("session", w.clientOf(l.ID).c.Ready)
	}
	w.everybodyOrders(50)
	return w
}

// portKey tells datagrams apart by the client's port.
func portKey(b []byte) (uint32, bool) {
	if len(b) < frame.IPv6HeaderBytes {
		return 0, false
	}
	if b[12] == 0x86 {
		return uint32(binary.BigEndian.Uint16(b[56:])), true
	}
	return uint32(binary.BigEndian.Uint16(b[36:])), true
}

// openClients makes a client for each lane; they share the client's NIC.
func (w *world) openClients(lanes []scene.Lane) {
	w.t.Helper()
	var ports []uint16
	var keys []uint32
	for _, l := range lanes {
		ports, keys = append(ports, uint16(clientPort+l.ID)), append(keys, uint32(clientPort+l.ID))
	}
	err := w.lab.Do(lab.Client, func() error {
		s, err := xdp.OpenEndpoint(xdp.SharedOptions(xdp.Options{Interface: lab.OrderNIC}, len(lanes)), netip.AddrFrom16(w.set.address(lab.ClientIP)).Unmap(), ports...)
		if err != nil {
			return err
		}
		w.t.Cleanup(func() {
			if err := s.Close(); err != nil {
				w.t.Error(err)
			}
		})
		m, err := xdp.NewMux(s, portKey, keys...)
		if err != nil {
			return err
		}
		for i, l := range lanes {
			c := blankClient(w)
			c.lane, c.port = l.ID, m.Shares()[i]
			c.local = frame.Endpoint{MAC: s.Interface().MAC, IP: w.set.address(lab.ClientIP), Port: ports[i]}
			c.remote = frame.Endpoint{MAC: [6]byte(lab.OrderMAC(l.Primary)), IP: w.set.address(lab.LaneAddress(l.ID)), Port: scene.LanePort}
			c.connect()
			w.others = append(w.others, c)
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.client, w.others = w.others[0], w.others[1:]
}

func (w *world) clientOf(id int) *testClient {
	for _, c := range w.clients() {
		if c.lane == id {
			return c
		}
	}
	w.t.Fatalf("lane %d has no client", id)
	return nil
}

func (w *world) at(place string, id int) *laneParts {
	w.t.Helper()
	p, err := w.nodes[place].lane(id)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (w *world) laneWord(place string, id int) lane.Word {
	return lane.Load(w.at(place, id).mem.authority)
}

func (w *world) untilLane(place string, id int, s lane.State) {
	w.t.Helper()
	w.until(place+" "+s.String(), func() bool { return w.laneWord(place, id).State() == s })
}

// everybodyOrders sends n orders on each lane, in turn, and waits for all.
func (w *world) everybodyOrders(n int) {
	w.t.Helper()
	for range n {
		for _, c := range w.clients() {
			c.order()
		}
		w.step()
	}
	w.until("all answers", func() bool {
		for _, c := range w.clients() {
			if c.c.Unanswered() != 0 {
				return false
			}
		}
		return true
	})
}

// fenced is whether its own kernel took the lane from the node. The successor's
// first frame of its new epoch makes it SYNCING then.
func fenced(p *laneParts) bool {
	s := lane.Load(p.mem.authority).State()
	return p.mem.table.Watch.FencedNs != 0 && (s == lane.Fenced || s == lane.Syncing)
}

// words are the authority words of lanes at a place.
func (w *world) words(place string, ids ...int) map[int]lane.Word {
	words := map[int]lane.Word{}
	for _, id := range ids {
		words[id] = w.laneWord(place, id)
	}
	return words
}

// unmoved fails if one of the lanes changed its epoch or state at a place.
func (w *world) unmoved(place string, before map[int]lane.Word) {
	w.t.Helper()
	for id, word := range before {
		if now := w.laneWord(place, id); now != word {
			w.t.Fatalf("lane %d at %s was %v and is %v%s", id, place, word, now, w.describe())
		}
	}
}

// handOver asks a node, as its operator would, while everybody works and orders.
func (w *world) handOver(place string, ask func(*Node) error) {
	w.t.Helper()
	n := w.nodes[place]
	done := make(chan error, 1)
	start := func() {
		w.until("standbys", func() bool {
			for _, p := range n.lanes {
				if lane.Load(p.mem.authority).State() == lane.Active && !standbyReady(p) {
					return false
				}
			}
			return true
		})
		go func() { done <- ask(n) }()
	}
	start()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		select {
		case err := <-done:
			// This test was off its core for a heartbeat, or for a second.
			if errors.Is(err, ErrNoStandby) || errors.Is(err, ErrNotGiven) {
				start()
				continue
			}
			if err != nil {
				w.t.Fatalf("%v%s", err, w.describe())
			}
			return
		default:
		}
		for _, c := range w.clients() {
			if c.c.Unanswered() < 100 {
				c.order()
			}
		}
		w.step()
	}
	w.t.Fatal("no answer to a handover")
}

// giveLane hands lane 0 over, and waits until the two have changed places.
func (w *world) giveLane(from, to string) {
	w.t.Helper()
	w.handOver(from, func(n *Node) error {
		if w.word(from).State() != lane.Active {
			return nil // an earlier word was heeded late
		}
		return n.handover(0)
	})
	w.untilState(to, lane.Active)
	w.untilState(from, lane.Standby)
}

// inOneState checks that every lane's two logs and states are one.
func (w *world) inOneState(lanes []scene.Lane) {
	w.t.Helper()
	for i := range lanes {
		if l := &lanes[i]; l.Standby != "" {
			w.sameLane(w.at(l.Primary, l.ID), w.at(l.Standby, l.ID))
		}
	}
}
