package node

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"time"

	"onebeat/bench/lab"
	"onebeat/bench/lab/labtest"
	"onebeat/bench/scene"
	"onebeat/mirror/lane"
	"onebeat/tools/control"
	"onebeat/xdp"
	"onebeat/xdp/frame"
)

// run lets an opened node run on threads of its own until the test ends.
func (w *world) run(place string) {
	w.t.Helper()
	cfg := w.config(place)
	var n *Node
	err := w.in(place, func() (err error) {
		n, err = Open(context.Background(), cfg, Options{Clock: w.clock, Log: slog.New(slog.NewTextHandler(testLog{w, place}, nil))})
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- n.run(ctx) }()
	w.t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			w.t.Errorf("%s: %v", place, err)
		}
		if err := n.Close(); err != nil {
			w.t.Error(err)
		}
		if err := Cleanup(cfg); err != nil {
			w.t.Error(err)
		}
	})
}

// ask speaks to a running node as the command line does.
func (w *world) ask(place string, r control.Request, out any) error {
	return control.Call(control.SocketPath(w.dir, place), r, out, 5*time.Second)
}

// sendingFrom is a port that receives what one port does and sends by another,
// whose queue leads to the lane's.
type sendingFrom struct {
	xdp.Port
	out xdp.Port
}

func (p sendingFrom) Reserve() []byte { return p.out.Reserve() }
func (p sendingFrom) Submit(n int)    { p.out.Submit(n) }
func (p sendingFrom) Kick() int       { return p.out.Kick() }

// queueClients makes a client for each lane, whose frames arrive on the lane's
// queue.
func (w *world) queueClients(queues ...int) {
	w.t.Helper()
	err := w.lab.Do(lab.Client, func() error {
		s, err := xdp.OpenEndpoint(xdp.SharedOptions(xdp.Options{Interface: lab.OrderNIC}, 2), netip.AddrFrom4(lab.ClientIP), clientPort, clientPort+1)
		if err != nil {
			return err
		}
		closeLater := func(c interface{ Close() error }) {
			w.t.Cleanup(func() {
				if err := c.Close(); err != nil {
					w.t.Error(err)
				}
			})
		}
		closeLater(s)
		m, err := xdp.NewMux(s, portKey, clientPort, clientPort+1)
		if err != nil {
			return err
		}
		for id, queue := range queues {
			out, err := xdp.Open(xdp.Options{Interface: lab.OrderNIC, Queue: lab.SendQueue(queue)})
			if err != nil {
				return err
			}
			closeLater(out)
			c := blankClient(w)
			c.lane, c.port = id, sendingFrom{m.Shares()[id], out}
			c.local = frame.Endpoint{MAC: s.Interface().MAC, IP: frame.IPv4(lab.ClientIP), Port: uint16(clientPort + id)}
			c.remote = frame.Endpoint{MAC: [6]byte(lab.OrderMAC([]string{lab.NodeA, lab.NodeB}[id])), IP: frame.IPv4(lab.LaneAddress(id)), Port: scene.LanePort}
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

// Lanes on queues and cores of their own run on threads of their own; a shared
// standby serves one with each, and all hand over without a refused order.
func TestLanesOnThreadsOfTheirOwn(t *testing.T) {
	clock, err := NewClock()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, lab: labtest.UpSpec(t, lab.Spec{Topology: lab.NPlusOne, OrderQueues: 2}), clock: clock}
	w.dir = w.lab.RunDir
	lanes := scene.NPlusOne("book", laneLines)[:2]
	lanes[1].Lines += "queue = 1\ncore = 1\n"
	s := &scene.Scene{Lab: w.lab, Lanes: lanes}
	if err := s.Write(); err != nil {
		t.Fatal(err)
	}
	for _, place := range s.Places() {
		w.run(place)
	}
	w.queueClients(0, 1)
	// Clients are asked from this goroutine, nodes run on their own.
	for _, c := range w.clients() {
		w.until("session", c.c.Ready)
	}
	w.untilStates(map[string][]lane.State{lab.NodeA: {lane.Active}, lab.NodeB: {lane.Active}, lab.NodeC: {lane.Standby, lane.Standby}})
	w.everybodyOrders(300)

	var status control.Status
	if err := w.ask(lab.NodeC, control.Request{Cmd: control.CmdStatus}, &status); err != nil {
		t.Fatal(err)
	}
	if status.Threads != 2 || status.Lanes[0].Thread == status.Lanes[1].Thread || status.Lanes[1].Core != 1 || status.Lanes[1].Queue != 1 ||
		status.Lanes[0].Core != -1 || status.Lanes[0].Link != lab.LinkNIC || status.Lanes[1].Link != lab.SecondLinkNIC {
		t.Errorf("%d threads, %+v, %+v", status.Threads, status.Lanes[0], status.Lanes[1])
	}
	for _, round := range []struct {
		asked []string
		gone  [][]int
		then  map[string][]lane.State
	}{
		{[]string{lab.NodeA, lab.NodeB}, [][]int{{0}, {1}}, map[string][]lane.State{lab.NodeA: {lane.Standby}, lab.NodeB: {lane.Standby}, lab.NodeC: {lane.Active, lane.Active}}},
		{[]string{lab.NodeC}, [][]int{{0, 1}}, map[string][]lane.State{lab.NodeA: {lane.Active}, lab.NodeB: {lane.Active}, lab.NodeC: {lane.Standby, lane.Standby}}},
	} {
		for i, place := range round.asked {
			var given control.Promoted
			if err := w.ask(place, control.Request{Cmd: control.CmdPromote, All: true}, &given); err != nil {
				t.Fatal(err)
			}
			if slices.Sort(given.Lanes); !slices.Equal(given.Lanes, round.gone[i]) {
				t.Errorf("%s handed over %v, want %v", place, given.Lanes, round.gone[i])
			}
			w.everybodyOrders(50)
		}
		w.untilStates(round.then)
		w.everybodyOrders(100)
	}
	if err := w.ask(lab.NodeC, control.Request{Cmd: control.CmdPromote, All: true}, nil); err == nil {
		t.Error("a node that serves nothing handed something over")
	}
	w.checkOnce()
}

// untilStates waits until running nodes show their lanes in these states, each
// writer with its standby in sync.
func (w *world) untilStates(want map[string][]lane.State) {
	w.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for place := range want {
		for seen := ""; ; w.step() {
			if time.Now().After(deadline) {
				w.t.Fatalf("%s shows %s, want %v", place, seen, want[place])
			}
			var s control.Status
			if err := w.ask(place, control.Request{Cmd: control.CmdStatus}, &s); err != nil {
				continue // it starts
			}
			good := len(s.Lanes) == len(want[place])
			seen = ""
			for i := range s.Lanes {
				l := &s.Lanes[i]
				seen += fmt.Sprintf("%s/%d, peer %s/%d, in sync %v; ", l.State, l.Epoch, l.PeerState, l.PeerEpoch, l.InSync)
				good = good && l.State == want[place][i].String() && (l.State != lane.Active.String() || l.InSync && l.PeerState == lane.Standby.String())
			}
			if good {
				break
			}
		}
	}
}

// A loop that panics is dead for the kernel before the runtime has told anybody.
func TestPanicIsTheEnginesDeath(t *testing.T) {
	clock, err := NewClock()
	if err != nil {
		t.Fatal(err)
	}
	table := &lane.Table{}
	th := &thread{clock: clock, lanes: []*laneParts{{mem: shared{table: table}}}}
	die := func(with any) (said any) {
		defer func() { said = recover() }()
		defer th.sayDeath()
		if with != nil {
			panic(with)
		}
		return nil
	}
	if die(nil); table.Watch.DeadNs != 0 {
		t.Error("an orderly end is no death")
	}
	if said := die("a bug"); said != "a bug" || table.Watch.DeadNs == 0 {
		t.Errorf("%v, dead at %d", said, table.Watch.DeadNs)
	}
}
