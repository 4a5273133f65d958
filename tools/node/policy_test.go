package node

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"onebeat/bench/lab"
	"onebeat/bench/scene"
	"onebeat/engine/client"
	"onebeat/engine/fixp"
	"onebeat/engine/sbe"
	"onebeat/mirror"
	"onebeat/mirror/lane"
	"onebeat/mirror/policy"
	"onebeat/tools/control"
)

// setPolicy changes lane 0's policy on a node while everybody is stepped.
func (w *world) setPolicy(place string, set control.SetPolicy) (r *control.Release, err error) {
	w.t.Helper()
	set.By = "test: because"
	done := make(chan struct{})
	go func() {
		defer close(done)
		r, err = w.nodes[place].setPolicy(&set)
	}()
	w.until("an answer to the operator", func() bool {
		select {
		case <-done:
			return true
		default:
			return false
		}
	})
	return r, err
}

func (w *world) mustSetPolicy(place string, set control.SetPolicy) {
	w.t.Helper()
	if _, err := w.setPolicy(place, set); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) inForce(place string) *mirror.InForce {
	return w.nodes[place].lanes[0].replica.InForce()
}

// hasSaid reports whether a node has logged a line with all of these words.
func (w *world) hasSaid(place string, words ...string) bool {
	for _, line := range w.said.of(place) {
		all := true
		for _, word := range words {
			all = all && strings.Contains(line, word)
		}
		if all {
			return true
		}
	}
	return false
}

// holdsReleased checks, with every output that has left, that the policy let it: the
// released position is one that the standby holds as the policy asks.
func (w *world) holdsReleased(writer, standby string, holds func(p *laneParts) uint64) {
	w.t.Helper()
	released := w.nodes[writer].lanes[0].mem.table.Engine.Released
	if h := holds(w.nodes[standby].lanes[0]); released > h {
		w.t.Fatalf("released up to %d, held up to %d%s", released, h, w.describe())
	}
}

func byApplied(p *laneParts) uint64  { return p.replica.Applied() }
func byArchived(p *laneParts) uint64 { return p.archive.Archived() }

// An answer leaves when the standby's engine has applied its record, and at once
// then; an engine that stands still keeps it waiting although its kernel ACKs.
func TestPolicyApplied(t *testing.T) {
	for name, up := range map[string]func(*testing.T, setting) *world{"xdp": steady, "udp": steadyUDP} {
		t.Run(name, func(t *testing.T) {
			w := up(t, setting{app: "book", policy: "applied"})
			for range 100 {
				w.client.order()
				w.step()
				w.holdsReleased(lab.NodeA, lab.NodeB, byApplied)
			}
			w.until("all answers", func() bool { return w.client.c.Unanswered() == 0 })
			w.frozen[lab.NodeB] = true
			before := w.client.c.Stats().Answered
			w.client.order()
			for end := time.Now().Add(8 * time.Millisecond); time.Now().Before(end); {
				w.step()
			}
			if w.client.c.Stats().Answered != before {
				t.Error("answered although the standby's engine has not applied it")
			}
			w.frozen[lab.NodeB] = false
			w.until("its answer", func() bool { return w.client.c.Unanswered() == 0 })
			w.checkOnce()
			w.sameState()
		})
	}
}

// An answer leaves when the standby has it on disk.
func TestPolicyArchived(t *testing.T) {
	for name, up := range map[string]func(*testing.T, setting) *world{"xdp": steady, "udp": steadyUDP} {
		t.Run(name, func(t *testing.T) {
			w := up(t, archived(setting{app: "gateway", policy: "archived"}, filepath.Join(t.TempDir(), "archive")))
			for range 100 {
				w.client.order()
				w.step()
				w.holdsReleased(lab.NodeA, lab.NodeB, byArchived)
			}
			w.until("all answers", func() bool { return w.client.c.Unanswered() == 0 })
			w.giveLane(lab.NodeA, lab.NodeB)
			w.orders(50)
			w.checkOnce()
			w.sameState()
		})
	}
}

// Alone, answers wait for this node's own disk; and when that is too slow they
// go on without it, aloud.
func TestPolicyArchivedAlone(t *testing.T) {
	w := steady(t, archived(setting{app: "book", policy: "archived", witness: true, extra: "wait = \"200ms\"\non_timeout = \"degrade\""}, filepath.Join(t.TempDir(), "archive")))
	w.kill(lab.NodeB)
	w.client.order() // its kernel ACKs on, its engine archives nothing
	w.untilAlone(lab.NodeA)
	w.until("degraded", func() bool { return w.hasSaid(lab.NodeA, "msg=degraded", "on this node's disk") })
	p := w.nodes[lab.NodeA].lanes[0]
	for range 50 {
		w.client.order()
		w.step()
		if released := p.mem.table.Engine.Released; released > p.archive.Archived() {
			t.Fatalf("released up to %d, on its disk %d", released, p.archive.Archived())
		}
	}
	w.until("all answers", func() bool { return w.client.c.Unanswered() == 0 })
	archiver := p.archive
	p.archive = nil // nobody steps it any more: a disk that hangs
	w.client.order()
	w.until("an answer without the disk", func() bool { return w.client.c.Unanswered() == 0 })
	if !w.hasSaid(lab.NodeA, "msg=degraded", "with nobody else") {
		t.Error("it does not say so")
	}
	if s := w.nodes[lab.NodeA].status().Lane(0); s.Release.Degraded == "" && s.Answers {
		t.Errorf("status %+v", s.Release)
	}
	p.archive = archiver
	w.restart(lab.NodeB)
	w.untilState(lab.NodeB, lane.Standby)
	w.until("restored", func() bool { return w.hasSaid(lab.NodeA, "msg=restored") })
	w.orders(20)
	w.checkOnce()
	w.sameState()
}

// A standby whose archive fails is not taken in under archived.
func TestPolicyArchivedWantsAnArchive(t *testing.T) {
	w := steady(t, setting{app: "book"})
	_, err := w.setPolicy(lab.NodeA, control.SetPolicy{Policy: "archived"})
	if err == nil || !strings.Contains(err.Error(), "[archive]") {
		t.Error(err)
	}
}

// untilAlone steps until a writer goes on without its standby.
func (w *world) untilAlone(place string) {
	w.t.Helper()
	w.until(place+" alone", func() bool {
		return w.word(place).State() == lane.Active && !w.nodes[place].lanes[0].replica.InSync()
	})
}

// What an operator changes counts on both nodes from its record on: over a
// handover, a kill, a restart and a rejoin, whatever the files say.
func TestPolicyChangeIsARecord(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "archive")
	w := steady(t, archived(setting{app: "book", witness: true, extra: "wait = \"200ms\"\non_timeout = \"degrade\""}, dir))
	w.orders(30)
	rides := w.rides(lab.NodeA)
	if rides == 0 {
		t.Fatal("no rides under mirrored")
	}
	w.mustSetPolicy(lab.NodeA, control.SetPolicy{Policy: "applied"})
	w.until("the standby follows", func() bool { return w.inForce(lab.NodeB).Policy == "applied" })
	w.orders(30)
	w.giveLane(lab.NodeA, lab.NodeB)
	w.orders(30)
	w.mustSetPolicy(lab.NodeB, control.SetPolicy{Policy: "archived", OnTimeout: "stop"})
	w.orders(30)
	w.kill(lab.NodeB)
	w.untilState(lab.NodeA, lane.Active)
	if in := w.inForce(lab.NodeA); in.Policy != "archived" || in.OnTimeout != policy.Stop || in.Revision != 2 || in.By != "test: because" {
		t.Fatalf("after the failover: %+v", in)
	}
	w.restart(lab.NodeB)
	w.untilState(lab.NodeB, lane.Standby)
	w.until("the policy after the restart", func() bool {
		in := w.inForce(lab.NodeB)
		return in.Policy == "archived" && in.Revision == 2
	})
	w.orders(30)
	// A ring that lost its memory learns it from the log that it is sent.
	w.kill(lab.NodeB)
	w.cleanup(lab.NodeB)
	w.restart(lab.NodeB)
	w.untilState(lab.NodeB, lane.Standby)
	w.until("the policy after the loss of its memory", func() bool {
		in := w.inForce(lab.NodeB)
		return in.Policy == "archived" && in.OnTimeout == policy.Stop
	})
	w.mustSetPolicy(lab.NodeA, control.SetPolicy{Policy: "mirrored", Wait: "forever"})
	before := w.rides(lab.NodeA)
	w.orders(30)
	if w.rides(lab.NodeA) == before {
		t.Error("mirrored again, and nothing rides")
	}
	w.until("it is said", func() bool { return w.hasSaid(lab.NodeA, "msg=policy", "change 3") })
	w.checkOnce()
	w.sameState()
}

func (w *world) rides(place string) uint64 {
	w.t.Helper()
	r, err := w.nodes[place].kernel.Reasons()
	if err != nil {
		w.t.Fatal(err)
	}
	return r["ride_released"]
}

// A peer whose file was edited since the change is taken in; one whose file says
// something else about a lane that was never changed is not.
func TestPolicyChangeOutlivesTheFiles(t *testing.T) {
	w := steady(t, setting{app: "book", policy: "mirrored"})
	edit := func(place, policy string) {
		text, err := os.ReadFile(w.configPath(place))
		if err != nil {
			t.Fatal(err)
		}
		text = regexp.MustCompile(`(?m)^policy = .*$`).ReplaceAll(text, []byte(fmt.Sprintf("policy = %q", policy)))
		if err := os.WriteFile(w.configPath(place), text, 0o600); err != nil {
			t.Fatal(err)
		}
		w.kill(place)
		w.restart(place)
	}
	edit(lab.NodeB, "applied")
	w.until("refused", func() bool { return w.refusal(lab.NodeA, "configured otherwise") })
	edit(lab.NodeB, "mirrored")
	w.untilState(lab.NodeB, lane.Standby)
	w.mustSetPolicy(lab.NodeA, control.SetPolicy{Policy: "applied"})
	w.orders(10)
	edit(lab.NodeB, "none")
	w.untilState(lab.NodeB, lane.Standby)
	w.until("the log's policy", func() bool { return w.inForce(lab.NodeB).Policy == "applied" })
	w.orders(10)
	w.sameState()
}

func TestPolicyChangesAreRefused(t *testing.T) {
	w := steady(t, setting{app: "book"})
	two := 2
	for _, c := range []struct {
		place  string
		set    control.SetPolicy
		reason string
	}{
		{lab.NodeB, control.SetPolicy{Policy: "applied"}, "ACTIVE"},
		{lab.NodeA, control.SetPolicy{Policy: "aplied"}, "no such policy"},
		{lab.NodeA, control.SetPolicy{Wait: "20ms"}, "on_timeout"},
		{lab.NodeA, control.SetPolicy{Wait: "20ms", OnTimeout: "degrade"}, "agree on when they start"},
		{lab.NodeA, control.SetPolicy{OnTimeout: "reject"}, "wait is forever"},
		{lab.NodeA, control.SetPolicy{Wait: "soon", OnTimeout: "reject"}, "duration"},
		{lab.NodeA, control.SetPolicy{Policy: "none", Copies: &two}, "waits for nobody"},
		{lab.NodeA, control.SetPolicy{Policy: "archived"}, "archive"},
	} {
		if _, err := w.setPolicy(c.place, c.set); err == nil || !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%+v: %v, want %q", c.set, err, c.reason)
		}
	}
	set := control.SetPolicy{Policy: "applied", By: "nobody"}
	if _, err := w.nodes[lab.NodeA].setPolicy(&set); err == nil {
		t.Error("a change without a reason")
	}
	if in := w.inForce(lab.NodeA); in.Revision != 0 {
		t.Errorf("%+v", in)
	}
}

// From and to none while orders flow: the lease begins and ends with it.
func TestPolicyChangeToNoneAndBack(t *testing.T) {
	w := steady(t, setting{app: "book", witness: true})
	for range 3 {
		w.mustSetPolicy(lab.NodeA, control.SetPolicy{Policy: "none"})
		w.orders(50)
		w.mustSetPolicy(lab.NodeA, control.SetPolicy{Policy: "mirrored"})
		w.orders(50)
	}
	w.mustSetPolicy(lab.NodeA, control.SetPolicy{Policy: "none"})
	w.orders(10)
	a := w.nodes[lab.NodeA].lanes[0]
	w.cables(lab.NodeA, false)
	w.carrier(lab.NodeA, lab.WitnessNIC, false)
	w.until("the lease ends", func() bool { return a.replica.IntakeStopped() || w.word(lab.NodeA).State() != lane.Active })
	w.untilState(lab.NodeB, lane.Active)
	w.cables(lab.NodeA, true)
	w.carrier(lab.NodeA, lab.WitnessNIC, true)
	w.untilState(lab.NodeA, lane.Standby)
	w.orders(30)
	w.sameState()
}

// refusing is a test client that takes refusals.
type refusing struct {
	*testClient
	refused map[uint64]sbe.SessionCode
}

func (r *refusing) OnRefused(clOrdID uint64, _ uint16, code sbe.SessionCode) {
	r.refused[clOrdID] = code
}

// Without its standby the lane refuses orders, and says so; with it, it takes
// them again, and what was refused is never done.
func TestPolicyRejectsAndStops(t *testing.T) {
	for _, c := range []struct {
		on, event string
		code      sbe.SessionCode
	}{{"reject", "msg=refusing", sbe.SessionCodeStandbyLost}, {"stop", "msg=stopped", sbe.SessionCodeStopped}} {
		t.Run(c.on, func(t *testing.T) {
			w := steady(t, setting{app: "book", extra: fmt.Sprintf("wait = \"40ms\"\non_timeout = %q", c.on)})
			w.orders(20)
			r := &refusing{w.client, map[uint64]sbe.SessionCode{}}
			w.client.c.Terminate()
			w.steps(20 * time.Millisecond)
			id, err := parseUUID(scene.Session(0))
			if err != nil {
				t.Fatal(err)
			}
			if w.client.c, err = client.New(client.Config{Session: id, Key: fixp.NewKey(scene.Credentials)}, r); err != nil {
				t.Fatal(err)
			}
			w.until("session", w.client.c.Ready)
			w.carrier(lab.NodeA, lab.LinkNIC, false)
			first := w.client.order() // in the log before the wait begins
			w.until("refusing", func() bool { return w.hasSaid(lab.NodeA, c.event) })
			if _, refused := r.refused[first]; refused {
				t.Error("an order in the log was refused")
			}
			tail := w.nodes[lab.NodeA].lanes[0].mem.table.Tail
			var ids []uint64
			for range 5 {
				ids = append(ids, w.client.order())
			}
			w.until("refusals", func() bool { return len(r.refused) == len(ids) })
			if got := w.nodes[lab.NodeA].lanes[0].mem.table.Tail; got != tail {
				t.Errorf("the log grew from %d to %d", tail, got)
			}
			if r.refused[ids[0]] != c.code {
				t.Error(r.refused)
			}
			if s := w.nodes[lab.NodeA].lanes[0]; s.replica.Refusing() == 0 {
				t.Error("it does not refuse")
			}
			w.steps(100 * time.Millisecond)
			w.carrier(lab.NodeA, lab.LinkNIC, true)
			w.until("admitting", func() bool { return w.hasSaid(lab.NodeA, "msg=admitting") })
			w.until("the answer that waited", func() bool { return len(w.client.answered[first]) > 0 })
			w.orders(20)
			for _, id := range ids {
				if len(w.client.answered[id]) > 0 {
					t.Errorf("order %d was refused and done", id)
				}
			}
			w.sameState()
		})
	}
}
