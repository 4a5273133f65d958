package fixload

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"onebeat/bench/lab"
	"onebeat/bench/scene"
	"onebeat/bench/shapes"
)

// Beside is a session's latency while somebody attacks the lane, and in the same
// rounds alone, and while the same attack goes to a plain listener of another host:
// what the attacker and the network of a small machine cost is in both.
type Beside struct {
	Attack    string        `json:"attack"`
	PerSecond int           `json:"per_second"` // as it was to be
	Session   string        `json:"session"`    // FIX or FIXP
	Alone     shapes.Result `json:"alone"`
	Elsewhere shapes.Result `json:"elsewhere"`
	Beside    shapes.Result `json:"beside"`
	// OverAlone and OverElsewhere are the medians of the rounds' p99s.
	OverAlone     float64  `json:"over_alone"`
	OverElsewhere float64  `json:"over_elsewhere"`
	Attacked      Attacked `json:"attacked"` // of all rounds, at the lane
}

// Held is what a node's process holds.
type Held struct {
	Node       string `json:"node"`
	Goroutines int    `json:"goroutines"`
	Files      int    `json:"files"`
	Resident   uint64 `json:"resident_bytes"`
}

// Leak is what a node held before the attacks and some time after.
type Leak struct {
	Before, After Held
}

const (
	badSession     = "DESK-2" // who has a session of its own, and no good in mind
	badPassword    = "bad-but-true"
	goodSession    = scene.FIXClient
	goodPassword   = "correct-horse"
	badFIXPSession = "6f9f0a52-5d1a-4d3f-9a34-0d6c5e9f1aff"
	badAttacker    = 1 // place of the attacker: the second client's

	sinkPort   = 9700
	overMost   = 2.0
	settleTime = 15 * time.Second
)

// attackKinds are those of a shape.
func attackKinds(shape string) []attack {
	return slices.DeleteFunc(slices.Clone(attacks), func(k attack) bool { return k.udp != (shape == HostileFIXP) })
}

// hostile measures a session of each kind beside one attack after another.
func (b *fixBed) hostile(ctx context.Context, r *Result) (err error) {
	h := &hostility{bed: b, ctx: ctx, fix: &target{name: "FIX", o: b.session(0)}}
	h.fix.o.User, h.fix.o.Password = goodSession, goodPassword
	if h.fixp, err = b.dialFIXP(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.fixp.close()) }()
	if err := h.start(); err != nil {
		return err
	}
	// Both faces have served before anything is compared.
	if _, err := h.both(nil, netip.AddrPort{}); err != nil {
		return err
	}
	before, err := b.held()
	if err != nil {
		return err
	}
	for _, k := range attackKinds(r.Shape) {
		if err := h.beside(r, &k); err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
	}
	taken := uint64(0)
	if r.Counters, taken, err = b.strangers(); err != nil {
		return err
	}
	if r.Leaks, err = b.settled(ctx, before); err != nil {
		return err
	}
	for i := range r.Besides {
		x := &r.Besides[i]
		r.bound(fmt.Sprintf("p99 of %s beside %s over alone", x.Session, x.Attack), x.OverAlone, overMost, false)
	}
	sent := h.fix.sent + h.fixp.sent
	r.bound("orders taken that no good session sent", float64(taken)-float64(sent), 0, false)
	for _, l := range r.Leaks {
		r.bound(l.After.Node+": goroutines more than before", float64(l.After.Goroutines-l.Before.Goroutines), 0, false)
		r.bound(l.After.Node+": descriptors more than before", float64(l.After.Files-l.Before.Files), 0, false)
	}
	return nil
}

// hostility is one measurement: the good sessions, and the process that attacks.
type hostility struct {
	bed  *fixBed
	ctx  context.Context
	fix  *target
	fixp *fixpSession
	to   io.Writer
	from *bufio.Scanner
}

// start starts the attacker, whom everybody preempts, for it would compute on a machine
// of its own, and who else is attacked.
func (h *hostility) start() error {
	c := h.bed.Command(lab.ClientPlace(badAttacker), "bench-attacker")
	c.Background = true
	in, err := c.StdinPipe()
	if err != nil {
		return err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	h.to, h.from = in, bufio.NewScanner(out)
	if err := h.bed.Begin(c); err != nil {
		return err
	}
	context.AfterFunc(h.ctx, func() { _ = c.Process.Kill() }) // nobody waits for its answers any more
	return h.bed.Run(lab.Venue, "bench-sink", netip.AddrPortFrom(netip.AddrFrom4(lab.VenueIP), sinkPort).String())
}

// beside measures in turns: beside the attack on somebody else, alone, and beside the
// attack on the lane.
func (h *hostility) beside(r *Result, k *attack) error {
	at := h.bed.target(scene.FIXPort)
	switch {
	case k.udp:
		at = h.bed.target(scene.LanePort)
	case k.name == "wrong certificates":
		at = netip.AddrPortFrom(netip.AddrFrom4(lab.LaneAddress(secureLane)), scene.FIXPort)
	}
	sink := netip.AddrPortFrom(netip.AddrFrom4(lab.VenueIP), sinkPort)
	var alone, elsewhere, beside [2][]shapes.Result
	attacked := Attacked{}
	for round := range h.bed.o.Rounds {
		h.bed.o.Progress(fmt.Sprintf("beside %s, round %d of %d", k.name, round+1, h.bed.o.Rounds))
		for _, turn := range []struct {
			kind *attack
			at   netip.AddrPort
			to   *[2][]shapes.Result
		}{{k, sink, &elsewhere}, {nil, at, &alone}, {k, at, &beside}} {
			t, err := h.both(turn.kind, turn.at)
			if err != nil {
				return err
			}
			for i := range t.results {
				turn.to[i] = append(turn.to[i], t.results[i])
			}
			if turn.to == &beside {
				attacked.add(&t.attacked)
			}
		}
	}
	for i, session := range []string{"FIX", "FIXP"} {
		x := Beside{Attack: k.name, PerSecond: k.perSecond, Session: session, Alone: shapes.Combine(alone[i]), Elsewhere: shapes.Combine(elsewhere[i]),
			Beside: shapes.Combine(beside[i]), OverAlone: medianRatio(beside[i], alone[i]), OverElsewhere: medianRatio(beside[i], elsewhere[i]), Attacked: attacked}
		r.Besides = append(r.Besides, x)
	}
	return nil
}

func (a *Attacked) add(o *Attacked) {
	a.Events, a.Failed, a.Skipped, a.Seconds = a.Events+o.Events, a.Failed+o.Failed, a.Skipped+o.Skipped, a.Seconds+o.Seconds
	if o.Error != "" {
		a.Error = o.Error
	}
}

// medianRatio is that of the rounds' p99s, each with its neighbour in time.
func medianRatio(of, over []shapes.Result) float64 {
	var v []float64
	for i := range of {
		v = append(v, float64(of[i].P99Ns)/float64(max(over[i].P99Ns, 1)))
	}
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

type turn struct {
	results  [2]shapes.Result // of FIX, of FIXP
	attacked Attacked
}

// attackLead is how long an attack goes on before it is measured.
const attackLead = 50 * time.Millisecond

// both measures the two sessions, while kind is at work; nil: nobody.
func (h *hostility) both(kind *attack, at netip.AddrPort) (t turn, err error) {
	if kind != nil {
		if err := h.say(&command{Attack: kind.name, At: at, PerSecond: h.bed.rate(kind)}); err != nil {
			return t, err
		}
		if _, err := h.heard(); err != nil {
			return t, err
		}
		time.Sleep(attackLead)
	}
	if err := h.bed.turn(h.ctx, lab.Client, h.fix); err != nil {
		return t, err
	}
	t.results[0] = h.fix.rounds[len(h.fix.rounds)-1]
	hist := shapes.NewHistogram()
	if err := h.fixp.oneInFlight(h.ctx, h.bed.o.Warmup, h.bed.o.Limit, nil); err != nil {
		return t, err
	}
	if err := h.fixp.oneInFlight(h.ctx, h.bed.o.Count, h.bed.o.Limit, hist); err != nil {
		return t, err
	}
	t.results[1] = shapes.Result{Shape: "FIXP", Rounds: 1, Machine: shapes.ThisMachine()}
	t.results[1].Fill(hist)
	if kind == nil {
		return t, nil
	}
	if err := h.say(&command{}); err != nil {
		return t, err
	}
	t.attacked, err = h.heard()
	return t, err
}

// heard is the attacker's next line.
func (h *hostility) heard() (a Attacked, err error) {
	if !h.from.Scan() {
		return a, fmt.Errorf("the attacker is gone: %w", errors.Join(h.from.Err(), io.ErrUnexpectedEOF))
	}
	if err := json.Unmarshal(h.from.Bytes(), &a); err != nil {
		return a, err
	}
	if a.Error != "" {
		return a, fmt.Errorf("attack: %s", a.Error)
	}
	return a, nil
}

func (h *hostility) say(c *command) error { return json.NewEncoder(h.to).Encode(c) }

// rate is an attack's, no more than the options allow.
func (b *fixBed) rate(k *attack) int {
	if b.o.AttackMost > 0 {
		return min(k.perSecond, b.o.AttackMost)
	}
	return k.perSecond
}

// held asks the nodes what they hold.
func (b *fixBed) held() (list []Held, err error) {
	for _, place := range b.Lab.Nodes() {
		s, err := b.Status(place)
		if err != nil {
			return nil, err
		}
		files, err := filesOf(s.PID)
		if err != nil {
			return nil, err
		}
		list = append(list, Held{place, s.Memory.Goroutines, files, s.Memory.ResidentBytes})
	}
	return list, nil
}

// settled waits until the nodes hold no more than before, or long enough.
func (b *fixBed) settled(ctx context.Context, before []Held) (leaks []Leak, err error) {
	for deadline := time.Now().Add(settleTime); ; time.Sleep(100 * time.Millisecond) {
		after, err := b.held()
		if err != nil {
			return nil, err
		}
		leaks = leaks[:0]
		more := false
		for i := range after {
			leaks = append(leaks, Leak{before[i], after[i]})
			more = more || after[i].Goroutines > before[i].Goroutines || after[i].Files > before[i].Files
		}
		if !more || ctx.Err() != nil || time.Now().After(deadline) {
			return leaks, ctx.Err()
		}
	}
}

// strangers are the counters of what was refused; taken counts the orders that came
// to the application.
func (b *fixBed) strangers() (counts map[string]uint64, taken uint64, err error) {
	s, err := b.Status(lab.NodeA)
	if err != nil {
		return nil, 0, err
	}
	counts = map[string]uint64{}
	for _, l := range s.Lanes {
		taken += l.Counters["book_new"] + l.Counters["gateway_new"]
		for name, n := range l.Counters {
			if n > 0 && refusal(name) {
				counts[name] += n
			}
		}
	}
	return counts, taken, nil
}

// RunSink listens to whatever is sent, ends each connection, and says nothing.
func RunSink(ctx context.Context, args []string) error {
	at, err := netip.ParseAddrPort(args[0])
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", at.String())
	if err != nil {
		return err
	}
	u, err := net.ListenPacket("udp", at.String())
	if err != nil {
		return errors.Join(err, l.Close())
	}
	go func() {
		<-ctx.Done()
		_ = errors.Join(l.Close(), u.Close())
	}()
	go func() {
		for b := make([]byte, 2048); ctx.Err() == nil; {
			_, _, _ = u.ReadFrom(b)
		}
	}()
	for ctx.Err() == nil {
		c, err := l.Accept()
		if err == nil {
			_ = errors.Join(c.(*net.TCPConn).SetLinger(0), c.Close())
		}
	}
	return nil
}

// filesOf counts a process's descriptors.
func filesOf(pid int) (int, error) {
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(list), err
}

// refusal tells the counters of what a node did not take.
func refusal(name string) bool {
	for _, prefix := range []string{"fix_tcp_", "session_", "machine_"} {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			return !slices.Contains(served, rest)
		}
	}
	return false
}

// served are counters of what is no refusal.
var served = []string{"messages_in", "messages_out", "bytes_in", "bytes_out", "datagrams", "heartbeats", "messages", "logouts"}
