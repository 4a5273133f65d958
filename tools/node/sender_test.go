package node

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"onebeat/bench/lab"
	"onebeat/bpf"
	"onebeat/engine/app"
	"onebeat/mirror"
	"onebeat/mirror/lane"
	"onebeat/mirror/ring"
)

// lose puts a program before a node's link program that drops every nth frame;
// the returned function takes it out again.
func (w *world) lose(place string, every int32) (stop func()) {
	w.t.Helper()
	n := w.nodes[place]
	next, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	must(w, err)
	defer next.Close()
	count, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	must(w, err)
	defer count.Close()
	must(w, next.Put(uint32(0), uint32(n.kernel.Link.FD())))
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "drop_nth", Type: ebpf.XDP, AttachType: ebpf.AttachXDP, License: "Dual BSD/GPL", Instructions: asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.StoreImm(asm.RFP, -4, 0, asm.Word),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.LoadMapPtr(asm.R1, count.FD()),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "pass"),
		asm.LoadMem(asm.R1, asm.R0, 0, asm.DWord),
		asm.Add.Imm(asm.R1, 1),
		asm.StoreMem(asm.R0, 0, asm.R1, asm.DWord),
		asm.Mod.Imm(asm.R1, every),
		asm.JEq.Imm(asm.R1, 0, "drop"),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.LoadMapPtr(asm.R2, next.FD()),
		asm.Mov.Imm(asm.R3, 0),
		asm.FnTailCall.Call(),
		asm.Mov.Imm(asm.R0, 2).WithSymbol("pass"),
		asm.Return(),
		asm.Mov.Imm(asm.R0, 1).WithSymbol("drop"),
		asm.Return(),
	}})
	must(w, err)
	pinned, err := link.LoadPinnedLink(filepath.Join(n.cfg.Node.BPFFS, bpf.LinkLinkPin(n.cfg.Links[0].Peer)), nil)
	must(w, err)
	must(w, pinned.Update(prog))
	// The program array must live as long as it is called through.
	held, err := next.Clone()
	must(w, err)
	return func() {
		w.t.Helper()
		must(w, pinned.Update(n.kernel.Link))
		must(w, pinned.Close())
		must(w, prog.Close())
		must(w, held.Close())
	}
}

func must(w *world, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// Mirror frames are lost on their way to the standby, ACKs on their way back,
// or both: everything is answered once, the logs are alike.
func TestLostFramesAreSentAgain(t *testing.T) {
	for name, at := range map[string][]string{"mirror": {lab.NodeB}, "acks": {lab.NodeA}, "both": {lab.NodeA, lab.NodeB}} {
		for _, release := range []string{"ride", "chain", "user"} {
			t.Run(name+"/"+release, func(t *testing.T) {
				w := steady(t, setting{app: "gateway", release: release})
				before := w.laneCounts(lab.NodeA)["mirror_resends"]
				var stops []func()
				for i, place := range at {
					stops = append(stops, w.lose(place, int32(3+4*i)))
				}
				for range 300 {
					w.client.order()
					w.client.order()
					w.step()
				}
				w.until("all answers", func() bool { return w.client.c.Unanswered() == 0 })
				for _, stop := range stops {
					stop()
				}
				if n := w.laneCounts(lab.NodeA)["mirror_resends"] - before; n == 0 && name != "acks" { // a later ACK covers
					t.Error("nothing was sent again")
				}
				if name == "mirror" && w.reasons(lab.NodeB)["mirror_gap"] == 0 {
					t.Error("no gap was seen")
				}
				if w.word(lab.NodeA).State() != lane.Active {
					t.Fatal(w.describe())
				}
				w.orders(100)
				w.checkOnce()
				w.sameState()
			})
		}
	}
}

// The cable flaps under load, with frames lost in both directions each time.
func TestFlappingCable(t *testing.T) {
	w := steady(t, setting{app: "gateway"})
	for i := range 20 {
		w.carrier([]string{lab.NodeA, lab.NodeB}[i%2], lab.LinkNIC, false)
		w.orderDuring(10, time.Millisecond)
		w.carrier([]string{lab.NodeA, lab.NodeB}[i%2], lab.LinkNIC, true)
		w.orderDuring(10, time.Millisecond)
	}
	w.orders(50)
	w.checkOnce()
	w.sameState()
}

// burst sends orders in batches and waits for the answers now and then.
func (w *world) burst(n, batch int) {
	w.t.Helper()
	for range n / batch {
		for range batch {
			w.client.order()
		}
		for w.step(); w.client.c.Room() < batch; {
			w.step()
		}
	}
	w.until("all answers", func() bool { return w.client.c.Unanswered() == 0 })
}

// A standby that does not read: its kernel appends as far as its ring goes,
// says FULL, and the writer waits with new orders until the reader goes on.
func TestStalledReader(t *testing.T) {
	w := steady(t, setting{app: "book"})
	w.frozen[lab.NodeB] = true
	a, b := &w.nodes[lab.NodeA].lanes[0].mem, &w.nodes[lab.NodeB].lanes[0].mem
	sent := 0
	for ; sent < 20_000 && w.reasons(lab.NodeB)["mirror_full"] == 0; sent += 200 {
		for range 200 {
			w.client.order()
			w.step()
		}
	}
	if w.reasons(lab.NodeB)["mirror_full"] == 0 {
		t.Fatalf("never full after %d orders%s", sent, w.describe())
	}
	w.steps(20 * time.Millisecond)
	if a.table.Tail-b.table.Engine.Applied > 2<<20 || b.table.Tail-b.table.Engine.Applied > 1<<20 {
		t.Fatalf("overrun: A %d, B %d, applied %d", a.table.Tail, b.table.Tail, b.table.Engine.Applied)
	}
	w.frozen[lab.NodeB] = false
	w.orders(100)
	w.checkOnce()
	w.sameState()
}

// The ring goes round several times; the epoch is said again before its record
// is overwritten, and the standby takes over from the last round.
func TestRingWraps(t *testing.T) {
	for _, s := range []setting{{app: "book"}, {app: "book", release: "chain"}, {app: "book", release: "user"}, {app: "gateway"}, {app: "gateway", release: "chain"}} {
		t.Run(s.app+"/"+s.release, func(t *testing.T) {
			w := steady(t, s)
			a := w.nodes[lab.NodeA].lanes[0]
			for a.mem.table.Tail < 3<<20 {
				w.burst(2000, 20)
			}
			for _, place := range []string{lab.NodeA, lab.NodeB} {
				p := w.nodes[place].lanes[0]
				if found := w.epochRecord(place); found != p.replica.Record() {
					t.Fatalf("%s: the ring says %v, the lane is %v", place, found, p.replica.Record())
				}
			}
			w.sameState()
			w.kill(lab.NodeA)
			w.orders(100)
			w.checkOnce()
		})
	}
}

// epochRecord finds the newest epoch record that a node's ring holds.
func (w *world) epochRecord(place string) (found lane.Record) {
	w.t.Helper()
	m := &w.nodes[place].lanes[0].mem
	r, err := ring.New(m.ringMem, len(m.ringMem)-bpf.RingSlackBytes, &m.table.Tail)
	must(w, err)
	_, err = r.Scan(r.Oldest(), r.Tail(), func(rec *app.Record) bool {
		if rec.Type == app.RecordEpoch {
			found.Parse(rec.Payload)
		}
		return true
	})
	must(w, err)
	return found
}

// More outputs in a cycle than may ride: user space releases them, in order.
func TestMoreOutputsThanRides(t *testing.T) {
	w := steady(t, setting{app: "gateway"})
	before := w.laneCounts(lab.NodeA)
	for range 50 {
		for range 3 * mirror.MaxRides {
			w.client.order()
			w.client.step() // a datagram each
		}
		w.step()
	}
	w.until("all answers", func() bool { return w.client.c.Unanswered() == 0 })
	if d := w.laneCounts(lab.NodeA)["released_by_user"] - before["released_by_user"]; d < 50 {
		t.Errorf("user space released %d", d)
	}
	w.checkOnce()
	w.sameState()
}

// The outbox fills while the standby does not ACK: intake waits, and nothing is
// dropped.
func TestOutboxBackpressure(t *testing.T) {
	w := steady(t, setting{app: "gateway"})
	w.carrier(lab.NodeB, lab.LinkNIC, false)
	for range 2000 {
		w.client.order()
		w.step()
	}
	w.until("a full outbox", func() bool { return w.laneCounts(lab.NodeA)["ring_full"] > 0 })
	tail := w.nodes[lab.NodeA].lanes[0].mem.table.Tail
	w.orderDuring(100, 5*time.Millisecond)
	if now := w.nodes[lab.NodeA].lanes[0].mem.table.Tail; now != tail {
		t.Errorf("the log grew from %d to %d", tail, now)
	}
	w.carrier(lab.NodeB, lab.LinkNIC, true)
	w.orders(100)
	w.checkOnce()
	w.sameState()
}

// Policy none with a peer: answered without an ACK, mirrored all the same. When
// the lease is over, too: the writer goes on alone then.
func TestPolicyNoneIsMirroredToo(t *testing.T) {
	w := steady(t, setting{app: "gateway", policy: "none", witness: true})
	w.sameState()
	w.carrier(lab.NodeB, lab.LinkNIC, false)
	w.orders(100)
	w.carrier(lab.NodeB, lab.LinkNIC, true)
	w.orders(100)
	w.until("in sync", func() bool {
		return w.word(lab.NodeB) == w.word(lab.NodeA).With(lane.Standby) && w.word(lab.NodeA).State() == lane.Active
	})
	w.sameState()
	w.kill(lab.NodeA)
	w.orders(100)
	w.checkOnce()
}
