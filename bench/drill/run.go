package drill

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"onebeat/bench/lab"
	"onebeat/bench/load"
	"onebeat/bench/scene"
	"onebeat/mirror/lane"
	"onebeat/tools/control"
)

// ErrStopped is returned when a drill was told to stop.
var ErrStopped = errors.New("stopped")

const (
	// settle is how long the venue may take for the last orders.
	settle = 300 * time.Millisecond
	// loadGrace is what a load may take beyond its duration.
	loadGrace = 30 * time.Second
	// phase spreads the fault over the nodes' timers.
	phase = 10 * time.Millisecond
)

// RunResult is one run, judged.
type RunResult struct {
	Verdict
	Logs   *Logs        `json:"-"`
	Load   *load.Result `json:"-"`
	Before load.Latency `json:"before"` // orders due before the fault
	After  load.Latency `json:"after"`
}

// run is one run under way.
type run struct {
	o    *Options
	stop <-chan struct{}
	lab  *lab.Lab

	venue, nodeA, nodeB, client *process
	viewA, viewB                *nodeView
	clientOut                   bytes.Buffer
	startEpoch, faultEpoch      uint32
	signalNs                    int64
	// old is the primary that the fault meets, survivor the other node: the
	// lane may have changed hands before, that is counted and no error here.
	old, survivor role
	takeover      NodeLog // the survivor's times, noted when it took over
}

// role is a node in a run.
type role struct {
	place   string
	process *process
	view    *nodeView
}

// Run plays one run in a fresh lab. A closed stop ends it with ErrStopped;
// whatever happens, the lab is taken down.
func Run(o *Options, stop <-chan struct{}) (res *RunResult, err error) {
	l, err := lab.Up(lab.Spec{})
	if err != nil {
		return nil, err
	}
	r := &run{o: o, stop: stop, lab: l}
	defer func() {
		if err != nil || !res.OK() {
			err = errors.Join(err, r.keep())
		}
		err = errors.Join(err, closeView(r.viewA), closeView(r.viewB), l.Down())
	}()
	for _, step := range []func() error{r.startNodes, r.startLoad, r.waitMiddle, r.assign, r.inject, r.waitLoad} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	logs, result, err := r.collect()
	if err != nil {
		return nil, err
	}
	if err := r.stopAll(); err != nil {
		return nil, err
	}
	res = &RunResult{Verdict: Judge(logs), Logs: logs, Load: result}
	if logs.SignalNs != 0 {
		res.Before = load.Measure(logs.Orders, 0, logs.SignalNs)
		res.After = load.Measure(logs.Orders, logs.SignalNs, 0)
	} else {
		res.Before = load.Measure(logs.Orders, 0, 0)
	}
	return res, nil
}

func (r *run) say(format string, args ...any) {
	if r.o.Progress != nil {
		r.o.Progress(fmt.Sprintf(format, args...))
	}
}

// startNodes starts the venue and both nodes and waits for their roles.
func (r *run) startNodes() error {
	if err := sceneOf(r.lab, r.o).Write(); err != nil {
		return err
	}
	node := func(place string) (*process, error) {
		command := "node"
		if place == lab.Venue {
			command = "venue"
		}
		return start(r.lab, r.o, place, r.o.Log, command, "--config", scene.ConfigPath(r.lab, place))
	}
	var err error
	if r.o.App == "gateway" {
		if r.venue, err = node(lab.Venue); err != nil {
			return err
		}
		v, err := r.venue.waitFor(r.lab, lane.Active, r.stop)
		if err != nil {
			return err
		}
		if err := v.close(); err != nil {
			return err
		}
	}
	if r.nodeA, err = node(lab.NodeA); err != nil {
		return err
	}
	if r.nodeB, err = node(lab.NodeB); err != nil {
		return err
	}
	if r.viewA, err = r.nodeA.waitFor(r.lab, lane.Active, r.stop); err != nil {
		return err
	}
	if r.viewB, err = r.nodeB.waitFor(r.lab, lane.Standby, r.stop); err != nil {
		return err
	}
	r.startEpoch = r.viewA.authority().Epoch()
	r.say("lane 0 is up: node-a ACTIVE, node-b STANDBY, epoch %d", r.startEpoch)
	return nil
}

func (r *run) startLoad() error {
	args := []string{"load", "--interface", lab.OrderNIC, "--target", scene.Target(laneID).String(),
		"--session", scene.Session(laneID), "--key", scene.Credentials, "--rate", strconv.Itoa(r.o.RatePerSecond),
		"--duration", r.o.Duration.String(), "--idle", r.o.ClientIdle, "--log", clientLogPath(r.lab), "--json"}
	var err error
	r.client, err = start(r.lab, r.o, lab.Client, &r.clientOut, args...)
	return err
}

// flowing is how many records beyond its start show that orders flow.
const flowing = 32

// waitMiddle waits for half of the load from the moment orders flow, and then
// some: faults must not always meet the same phase of the timers.
func (r *run) waitMiddle() error {
	if r.o.Fault == FaultNone {
		return nil
	}
	records := func() uint64 {
		return atomic.LoadUint64(&r.viewA.table.Engine.Records) + atomic.LoadUint64(&r.viewB.table.Engine.Records)
	}
	start, deadline := records(), time.Now().Add(loadGrace)
	for records() < start+flowing {
		if time.Now().After(deadline) {
			return fmt.Errorf("no orders flow within %v", loadGrace)
		}
		if err := r.check(); err != nil {
			return err
		}
		time.Sleep(pollEvery)
	}
	for middle := time.Now().Add(r.o.Duration/2 + rand.N(phase)); time.Now().Before(middle); {
		if err := r.check(); err != nil {
			return err
		}
		time.Sleep(min(pollEvery, time.Until(middle)))
	}
	return nil
}

// check notices a stop and processes that ended on their own.
func (r *run) check() error {
	select {
	case <-r.stop:
		return ErrStopped
	default:
	}
	for _, p := range []*process{r.venue, r.nodeA, r.nodeB, r.client} {
		if p != nil && p.ended() {
			return fmt.Errorf("%s ended too early: %w", p.place, exitError(p.err))
		}
	}
	return nil
}

// assign finds out who is the primary right now.
func (r *run) assign() error {
	a, b := role{lab.NodeA, r.nodeA, r.viewA}, role{lab.NodeB, r.nodeB, r.viewB}
	r.old, r.survivor = a, b
	if b.view.authority().State() == lane.Active {
		r.old, r.survivor = b, a
	}
	word := r.old.view.authority()
	r.faultEpoch = word.Epoch()
	if word.State() != lane.Active {
		return fmt.Errorf("no node is ACTIVE: node-a %v, node-b %v", a.view.authority(), b.view.authority())
	}
	if peer := r.survivor.view.authority(); r.o.Fault != FaultNone && peer != word.With(lane.Standby) {
		return fmt.Errorf("%s is no standby of %v but %v: nothing could take over", r.survivor.place, word, peer)
	}
	return nil
}

func (r *run) inject() error {
	if r.o.Fault == FaultNone {
		return nil
	}
	r.signalNs = monotonicNs()
	switch r.o.Fault {
	case FaultKill:
		if err := r.old.process.signal(syscall.SIGKILL); err != nil {
			return err
		}
		r.say("SIGKILL to %s, the primary", r.old.place)
		return r.watchTakeover()
	case FaultHandover:
		if err := call(r.lab, r.old.place, control.CmdPromote, nil); err != nil {
			return err
		}
		r.say("planned handover by %s, the primary", r.old.place)
		return r.watchTakeover()
	}
	if err := r.old.process.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	r.say("SIGSTOP to %s, the primary, for %v", r.old.place, r.o.Asleep)
	wake := time.After(r.o.Asleep)
	if err := r.watchTakeover(); err != nil {
		return errors.Join(err, r.old.process.signal(syscall.SIGCONT))
	}
	select {
	case <-r.stop:
	case <-wake:
	}
	r.say("SIGCONT to %s", r.old.place)
	return r.old.process.signal(syscall.SIGCONT)
}

// takeoverTimeout is far beyond every budget.
const takeoverTimeout = 5 * time.Second

// watchTakeover waits until the survivor is ACTIVE and notes what its kernel
// and its engine say about that: a later failover would overwrite it.
func (r *run) watchTakeover() error {
	deadline := time.Now().Add(takeoverTimeout)
	for r.survivor.view.authority().State() != lane.Active {
		if time.Now().After(deadline) {
			return nil // the judge will say so
		}
		select {
		case <-r.stop:
			return ErrStopped
		case <-time.After(time.Millisecond):
		}
	}
	r.takeover = r.survivor.view.watch(NodeLog{})
	var status control.Status
	if err := call(r.lab, r.survivor.place, control.CmdStatus, &status); err != nil {
		return err
	}
	if s := status.Lane(laneID); s != nil {
		r.takeover.ActiveNs = s.ActiveNs
	}
	return nil
}

func monotonicNs() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(fmt.Sprintf("drill: CLOCK_MONOTONIC: %v", err)) // it always exists
	}
	return ts.Nano()
}

func (r *run) waitLoad() error {
	select {
	case <-r.client.done:
		if r.client.err != nil {
			return fmt.Errorf("load: %w", r.client.err)
		}
		return nil
	case <-r.stop:
		return ErrStopped
	case <-time.After(r.o.Duration + loadGrace):
		return fmt.Errorf("load did not end within %v of its duration", loadGrace)
	}
}

// collect reads all logs once everything has come to rest.
func (r *run) collect() (*Logs, *load.Result, error) {
	time.Sleep(settle)
	var result load.Result
	if err := decode("load", r.clientOut.Bytes(), &result); err != nil {
		return nil, nil, err
	}
	logs := &Logs{SignalNs: r.signalNs, HasBook: r.o.App == "book", Servers: result.ServerList}
	var err error
	var servers []load.Server
	if logs.Orders, servers, err = load.ReadCSV(clientLogPath(r.lab)); err != nil {
		return nil, nil, err
	}
	alignServers(logs, servers)
	if r.venue != nil {
		if err := call(r.lab, lab.Venue, control.CmdOrders, nil); err != nil {
			return nil, nil, err
		}
		if logs.Venue, err = ReadVenueCSV(scene.VenueOrders(r.lab, laneID)); err != nil {
			return nil, nil, err
		}
	}
	if r.o.Fault == FaultNone {
		if err := r.assign(); err != nil { // again: who serves at the end
			return nil, nil, err
		}
		r.survivor, r.old = r.old, r.survivor
	}
	logs.StartEpoch, logs.FaultEpoch = r.startEpoch, r.faultEpoch
	if logs.Survivor, err = r.survivor.view.log(r.survivor.place); err != nil {
		return nil, nil, err
	}
	if logs.Old, err = r.old.view.log(r.old.place); err != nil {
		return nil, nil, err
	}
	t := &r.takeover
	logs.Survivor.CandidateNs, logs.Survivor.ActiveNs, logs.Survivor.Why = t.CandidateNs, t.ActiveNs, t.Why
	return logs, &result, nil
}

// alignServers makes the orders' server indexes those of the result: the CSV
// names servers in the order in which their answers appear.
func alignServers(logs *Logs, servers []load.Server) {
	index := make([]uint8, len(servers))
	for i := range servers {
		for j := range logs.Servers {
			if logs.Servers[j].MAC == servers[i].String() {
				index[i] = uint8(j)
			}
		}
	}
	for i := range logs.Orders {
		if o := &logs.Orders[i]; o.FirstAnswerNs != 0 {
			o.Server = index[o.Server]
		}
	}
}

// stopAll ends what still lives; a process that cannot end well is an error of
// the run.
func (r *run) stopAll() error {
	var errs []error
	for _, p := range []*process{r.nodeB, r.nodeA, r.venue} {
		if p == nil || r.o.Fault == FaultKill && p == r.old.process {
			continue
		}
		errs = append(errs, p.stop())
	}
	return errors.Join(errs...)
}

// keep copies the logs of a run that went wrong.
func (r *run) keep() error {
	if r.o.KeepDir == "" {
		return nil
	}
	dir := filepath.Join(r.o.KeepDir, r.lab.Name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, path := range []string{clientLogPath(r.lab), scene.VenueOrders(r.lab, laneID)} {
		if err := copyFile(path, filepath.Join(dir, filepath.Base(path))); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
