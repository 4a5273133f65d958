package node

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"onebeat/bench/lab"
	"onebeat/mirror/arbiter"
	"onebeat/mirror/lane"
	"onebeat/mirror/witness"
)

const witnessPort = 7500

// judge is the world's witness: it runs beside the steps, as a third host does.
type judge struct {
	w      *world
	at     netip.AddrPort
	server *witness.Server // nil: it is down
	cancel context.CancelFunc
	done   sync.WaitGroup
}

var witnessKey = [32]byte{30: 0xd4, 31: 0x31} // 54321, as the nodes' key file has it

// startWitness makes the world's witness, and the nodes' key for it.
func (w *world) startWitness(ip [4]byte) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, "witness.key"), []byte(fmt.Sprintf("%064x\n", 54321)), 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.judge = &judge{w: w, at: netip.AddrPortFrom(netip.AddrFrom4(ip), witnessPort)}
	w.judge.start()
	w.t.Cleanup(w.judge.stop)
}

func (j *judge) start() {
	j.w.t.Helper()
	err := j.w.in(lab.Witness, func() (err error) {
		j.server, err = witness.Listen(witness.ServerOptions{Listen: j.at, Groups: []witness.Group{{Name: "pair", Key: witnessKey}}})
		return err
	})
	if err != nil {
		j.w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	j.cancel = cancel
	j.done.Go(func() { j.server.Run(ctx) })
	j.done.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-j.server.Changes():
			}
		}
	})
}

// stop ends the witness and its memory.
func (j *judge) stop() {
	if j.server == nil {
		return
	}
	j.cancel()
	j.done.Wait()
	if err := j.server.Close(); err != nil {
		j.w.t.Error(err)
	}
	j.server = nil
}

// register returns what the witness holds of the lane.
func (j *judge) register() (g arbiter.Register) {
	j.server.Each(func(_ string, laneID uint8, r arbiter.Register) {
		if laneID == 0 {
			g = r
		}
	})
	return g
}

func (w *world) untilRegister(what string, done func(g arbiter.Register) bool) {
	w.t.Helper()
	w.until(what, func() bool { return done(w.judge.register()) })
}

// eachTransport runs a test over kernel programs and over sockets.
func eachTransport(t *testing.T, f func(*testing.T, func(*testing.T, setting) *world)) {
	for name, open := range map[string]func(*testing.T, setting) *world{"xdp": steady, "udp": steadyUDP} {
		t.Run(name, func(t *testing.T) { f(t, open) })
	}
}

// The primary's process dies: by its kernel's word, or by silence where there is
// no kernel. The register follows, and takes the old primary in again.
func TestWitnessKill(t *testing.T) {
	eachTransport(t, func(t *testing.T, open func(*testing.T, setting) *world) {
		w := open(t, setting{app: "gateway", witness: true})
		before := w.judge.register()
		if !before.Known || before.Record.Writer != 1 || before.Record.Count() != 2 {
			t.Fatalf("%+v", before)
		}
		for range 50 {
			w.client.order()
		}
		w.client.step()
		w.kill(lab.NodeA)
		w.orders(100)
		if g := w.judge.register(); g.Record.Writer != 2 || g.Record.Count() != 1 || g.Record.Epoch != before.Record.Epoch+1 {
			t.Fatalf("%+v after %+v%s", g, before, w.describe())
		}
		w.restart(lab.NodeA)
		w.untilState(lab.NodeA, lane.Standby)
		w.untilRegister("both in the record", func(g arbiter.Register) bool { return g.Record.Count() == 2 })
		w.orders(100)
		w.checkOnce()
		w.sameState()
	})
}

// A standby dies (with sockets, its host's ring dies too), and the primary goes
// on alone with the register's consent.
func TestWitnessStandbyLost(t *testing.T) {
	w := steadyUDP(t, setting{app: "gateway", witness: true, extra: "wait = \"50ms\"\non_timeout = \"degrade\""})
	w.kill(lab.NodeB)
	w.orders(50)
	if g := w.judge.register(); g.Record.Writer != 1 || g.Record.Count() != 1 {
		t.Fatalf("%+v%s", g, w.describe())
	}
	w.restart(lab.NodeB)
	w.untilState(lab.NodeB, lane.Standby)
	w.orders(50)
	w.checkOnce()
	w.sameState()
}

// The primary is cut off from everybody: its standby goes on, and what the
// primary had not released it never does.
func TestWitnessIsolate(t *testing.T) {
	w := steady(t, setting{app: "gateway", witness: true})
	nics := []string{lab.LinkNIC, lab.OrderNIC, lab.WitnessNIC}
	for _, nic := range nics {
		w.carrier(lab.NodeA, nic, false)
	}
	w.untilState(lab.NodeB, lane.Active)
	if w.why(lab.NodeB) != lane.WhySilent {
		t.Fatalf("candidate because %v", w.why(lab.NodeB))
	}
	w.orders(100)
	if w.word(lab.NodeA).Epoch() >= w.word(lab.NodeB).Epoch() {
		t.Fatal(w.describe())
	}
	for _, nic := range nics {
		w.carrier(lab.NodeA, nic, true)
	}
	w.untilState(lab.NodeA, lane.Standby)
	w.orders(100)
	w.checkOnce()
	w.sameState()
}

// A standby that is cut off hears nobody, and is not answered: it stays a
// candidate. The primary goes on alone, if it is configured to.
func TestWitnessIsolatedStandby(t *testing.T) {
	w := steady(t, setting{app: "gateway", witness: true, extra: "wait = \"50ms\"\non_timeout = \"degrade\""})
	nics := []string{lab.LinkNIC, lab.OrderNIC, lab.WitnessNIC}
	for _, nic := range nics {
		w.carrier(lab.NodeB, nic, false)
	}
	w.untilState(lab.NodeB, lane.Candidate)
	w.orders(100)
	if w.word(lab.NodeA).State() != lane.Active || w.word(lab.NodeB).State() == lane.Active {
		t.Fatal(w.describe())
	}
	for _, nic := range nics {
		w.carrier(lab.NodeB, nic, true)
	}
	w.untilState(lab.NodeB, lane.Standby)
	w.orders(100)
	w.checkOnce()
	w.sameState()
}

// The nodes do not hear each other on any path, but both reach the witness and
// the clients: one of them goes on.
func TestWitnessDecidesBetweenTwo(t *testing.T) {
	w := steady(t, setting{app: "book", witness: true, extra: "wait = \"50ms\"\non_timeout = \"degrade\"", link: "auth = true"})
	epoch := w.judge.register().Record.Epoch
	w.carrier(lab.NodeA, lab.LinkNIC, false)
	w.carrier(lab.NodeB, lab.OrderNIC, false) // the second path; clients reach A only
	id := w.client.order()
	w.untilRegister("a decision", func(g arbiter.Register) bool { return g.Record.Epoch > epoch })
	for range 200 { // whatever else the loser wants
		w.step()
	}
	g := w.judge.register()
	if g.Record.Count() != 1 {
		t.Fatalf("%+v%s", g, w.describe())
	}
	active := map[string]bool{lab.NodeA: w.word(lab.NodeA).State() == lane.Active, lab.NodeB: w.word(lab.NodeB).State() == lane.Active}
	if winner := map[uint8]string{1: lab.NodeA, 2: lab.NodeB}[g.Record.Writer]; !active[winner] && w.word(winner).State() != lane.Candidate {
		t.Fatalf("the record's writer is not ACTIVE: %+v%s", g, w.describe())
	}
	w.carrier(lab.NodeA, lab.LinkNIC, true)
	w.carrier(lab.NodeB, lab.OrderNIC, true)
	w.until("the order is answered", func() bool { return len(w.client.answered[id]) > 0 })
	w.orders(50)
	w.checkOnce()
	w.sameState()
}

// A witness that was started again knows nothing; the ACTIVE node tells it, long
// before it is needed.
func TestWitnessRestartsAndIsSeeded(t *testing.T) {
	eachTransport(t, func(t *testing.T, open func(*testing.T, setting) *world) {
		w := open(t, setting{app: "gateway", witness: true})
		record, epoch := w.judge.register().Record, w.word(lab.NodeA).Epoch()
		w.judge.stop()
		w.orders(100) // nobody needs it
		w.judge.start()
		w.untilRegister("seeded", func(g arbiter.Register) bool { return g.Known })
		if g := w.judge.register(); g.Record != record {
			t.Fatalf("%+v, was %v", g, record)
		}
		if w.word(lab.NodeA).Epoch() != epoch {
			t.Fatalf("the epoch changed: %s", w.describe())
		}
		w.orders(50)
		w.kill(lab.NodeA)
		w.orders(50)
		w.checkOnce()
	})
}

// The witness and then the primary die: nobody may go on until the witness
// knows the record again, which then only an operator can say.
func TestWitnessGoneWhenItIsNeeded(t *testing.T) {
	w := steady(t, setting{app: "gateway", witness: true})
	record := w.judge.register().Record
	w.judge.stop()
	w.kill(lab.NodeA)
	id := w.client.order()
	w.untilState(lab.NodeB, lane.Candidate)
	w.steps(100 * time.Millisecond)
	if w.word(lab.NodeB).State() != lane.Candidate {
		t.Fatal(w.describe())
	}
	w.judge.start()
	w.steps(200 * time.Millisecond)
	if w.word(lab.NodeB).State() != lane.Candidate || w.judge.register().Known {
		t.Fatalf("%+v%s", w.judge.register(), w.describe())
	}
	if !w.refusal(lab.NodeB, "onebeat witness seed") {
		t.Errorf("it does not say why: %v", w.said.of(lab.NodeB))
	}
	s := w.nodes[lab.NodeB].laneStatus(w.nodes[lab.NodeB].lanes[0])
	if s.Arbiter == nil || s.Arbiter.Known || s.Arbiter.AnsweredNs == 0 || s.Arbiter.Silent || s.Arbitration != "witness" {
		t.Errorf("status: %+v, arbiter %+v", s, s.Arbiter)
	}
	if err := w.judge.server.Seed("pair", 0, record); err != nil {
		t.Fatal(err)
	}
	w.untilState(lab.NodeB, lane.Active)
	w.until("the order is answered", func() bool { return len(w.client.answered[id]) > 0 })
	w.orders(50)
	w.checkOnce()
}

// Planned: the lane goes there and back, and the register with it.
func TestWitnessHandover(t *testing.T) {
	w := steady(t, setting{app: "gateway", witness: true})
	for range 2 {
		from, to := lab.NodeA, lab.NodeB
		if w.word(lab.NodeB).State() == lane.Active {
			from, to = to, from
		}
		w.giveLane(from, to)
		w.orders(50)
	}
	w.checkOnce()
	w.sameState()
}

// Both processes restart: the register names them, and the greater goes on.
func TestWitnessBothRestart(t *testing.T) {
	w := steady(t, setting{app: "gateway", witness: true})
	w.kill(lab.NodeB)
	w.kill(lab.NodeA)
	w.restart(lab.NodeA)
	w.restart(lab.NodeB)
	w.orders(50)
	w.checkOnce()
}

// Asking costs the loop nothing that lasts.
func TestWitnessAllocatesNothing(t *testing.T) {
	w := steady(t, setting{app: "book", witness: true})
	w.client.forget = true
	w.allocatesNothing()
}

func TestWitnessOnThisHostIsRefused(t *testing.T) {
	w := newWorld(t, setting{app: "book", witness: true})
	w.kill(lab.NodeB)
	text, err := os.ReadFile(w.configPath(lab.NodeB))
	if err != nil {
		t.Fatal(err)
	}
	own := netip.AddrFrom4(lab.NodeWitnessIP(lab.NodeB)).String()
	bad := strings.Replace(string(text), netip.AddrFrom4(lab.WitnessIP).String(), own, 1)
	if err := os.WriteFile(w.configPath(lab.NodeB), []byte(bad), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.start(lab.NodeB); err == nil || !strings.Contains(err.Error(), "this host's own") {
		t.Fatal(err)
	}
	w.cleanup(lab.NodeB)
}
