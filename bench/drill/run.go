package drill

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"onebeat/bench/lab"
	"onebeat/bench/load"
	"onebeat/bench/scene"
	"onebeat/mirror/lane"
)

// ErrStopped is returned when a drill was told to stop.
var ErrStopped = errors.New("stopped")

const (
	// settle is how long the venue may take for the last orders.
	settle = 300 * time.Millisecond
	// loadGrace is what a load may take to end beyond its last order.
	loadGrace = 30 * time.Second
	// courseMax is what a fault's course may take; the load is due as long.
	courseMax = 40 * time.Second
	// phase spreads the fault over the nodes' timers.
	phase = 10 * time.Millisecond
)

// RunResult is one run, judged.
type RunResult struct {
	Verdict
	Logs   *Logs        `json:"-"` // of the first lane
	Before load.Latency `json:"before"`
	After  load.Latency `json:"after"` // orders due from the fault on
	Soaked *Soaked      `json:"soaked,omitempty"`
}

// run is one run under way.
type run struct {
	o      *Options
	number int // from 0
	fault  *fault
	stop   <-chan struct{}
	lab    *lab.Lab
	scene  *scene.Scene

	lanes     []*laneRun
	processes map[string]*process // by place; also the ended ones
	supply    *supply             // nil: no arbitration that takes powers

	// Of a soak.
	disks     map[string]*soakDisk // by place
	soaked    *Soaked
	witnessed *witness

	mu   sync.Mutex
	dead map[string]bool // ended by the fault, or by the supply
}

// Run plays one run in a fresh lab. A closed stop ends it with ErrStopped;
// whatever happens, the lab is taken down.
func Run(o *Options, number int, stop <-chan struct{}) (res *RunResult, err error) {
	f, ok := findFault(o.Fault)
	if !ok {
		return nil, fmt.Errorf("%w: fault %q", ErrOptions, o.Fault)
	}
	l, err := lab.Up(lab.Spec{Topology: f.topology, FaultBox: f.box || o.Arbitration == Fence, Clients: f.clients()})
	if err != nil {
		return nil, err
	}
	r := &run{o: o, number: number, fault: f, stop: stop, lab: l, scene: sceneOf(l, o, f),
		processes: map[string]*process{}, dead: map[string]bool{}}
	for _, l := range r.scene.Lanes {
		r.lanes = append(r.lanes, newLaneRun(l))
	}
	defer func() {
		if r.supply != nil {
			err = errors.Join(err, r.supply.close())
		}
		if err != nil || !res.OK() {
			err = errors.Join(err, r.keep())
		}
		for _, l := range r.lanes {
			err = errors.Join(err, l.close())
		}
		if r.witnessed != nil {
			r.witnessed.cancel()
		}
		err = errors.Join(err, r.closeDisks())
		err = errors.Join(err, l.Down())
	}()
	if o.Arbitration == Fence {
		if r.supply, err = startSupply(r); err != nil {
			return nil, err
		}
	}
	return r.play()
}

// isDead is whether a place's process was ended on purpose.
func (r *run) isDead(place string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dead[place]
}

func (r *run) setDead(place string, dead bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dead[place] = dead
}

func (r *run) play() (*RunResult, error) {
	steps := []func() error{r.prepareSoak, r.startNodes, r.startDaemons, r.startLoads, r.waitFlow, func() error { return r.lead(r.o.Duration / 2) },
		r.waitReady, func() error { return r.fault.course(r) }, r.trail, r.endLoads}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	time.Sleep(settle)
	if r.witnessed != nil {
		if err := r.witnessed.finish(); err != nil {
			return nil, err
		}
	}
	res := &RunResult{Soaked: r.soaked}
	for i, l := range r.lanes {
		logs, err := r.collect(l)
		if err != nil {
			return nil, err
		}
		v := Judge(logs)
		r.endSoak(&v, logs)
		if len(r.lanes) > 1 {
			v.prefix(fmt.Sprintf("lane %d: ", l.ID))
		}
		res.add(&v)
		if i == 0 {
			res.Logs = logs
		}
	}
	if err := r.stopAll(); err != nil {
		return nil, err
	}
	signalNs := res.Logs.SignalNs()
	res.Before = load.Measure(res.Logs.Orders, 0, signalNs)
	if signalNs != 0 {
		res.After = load.Measure(res.Logs.Orders, signalNs, 0)
	}
	res.CatchUps = catchUps(res.Logs)
	return res, nil
}

func (r *run) say(format string, args ...any) {
	if r.o.Progress != nil {
		r.o.Progress(fmt.Sprintf(format, args...))
	}
}

// begin starts the process of a place.
func (r *run) begin(place string) (err error) {
	r.processes[place], err = start(r.lab, r.o, place, r.o.Log, r.commandOf(place)...)
	r.setDead(place, false)
	return err
}

// startNodes starts arbiter, venue and nodes and waits for every lane's roles.
func (r *run) startNodes() error {
	if err := errors.Join(r.scene.Write(), writeArbiterKey(r.lab), r.divideArchiving()); err != nil {
		return err
	}
	if err := r.startArbiter(); err != nil {
		return err
	}
	for _, place := range r.scene.Places() {
		if err := r.begin(place); err != nil {
			return err
		}
		if place != lab.Venue {
			continue
		}
		for _, l := range r.lanes {
			v, err := r.processes[place].waitFor(r.lab, l.ID, lane.Active, r.stop)
			if err != nil {
				return err
			}
			if err := v.close(); err != nil {
				return err
			}
		}
	}
	for _, l := range r.lanes {
		for _, n := range []struct {
			place string
			state lane.State
		}{{l.Primary, lane.Active}, {l.Standby, lane.Standby}} {
			v, err := r.processes[n.place].waitFor(r.lab, l.ID, n.state, r.stop)
			if err != nil {
				return err
			}
			l.views[n.place] = v
		}
		l.startEpoch = l.word(l.Primary).Epoch()
		r.say("lane %d is up: %s ACTIVE, %s STANDBY, epoch %d", l.ID, l.Primary, l.Standby, l.startEpoch)
	}
	return nil
}

// startLoads starts a client for each lane; it is due for longer than it will
// be let.
func (r *run) startLoads() error {
	for i, l := range r.lanes {
		if r.o.Client == ClientFIX {
			if err := r.startFIX(lab.ClientPlace(i), l); err != nil {
				return err
			}
			continue
		}
		args := []string{"load", "--interface", lab.OrderNIC, "--target", r.scene.Target(l.ID).String(),
			"--local", r.scene.Client(lab.ClientPlace(i)).String(),
			"--session", scene.Session(l.ID), "--key", scene.Credentials, "--rate", strconv.Itoa(r.o.RatePerSecond),
			"--duration", (r.o.Duration + r.courseMax()).String(), "--idle", r.o.ClientIdle, "--log", clientLogPath(r.lab, l.ID), "--json"}
		var err error
		if l.client, err = start(r.lab, r.o, lab.ClientPlace(i), &l.out, args...); err != nil {
			return err
		}
	}
	return nil
}

// flowing is how many records beyond its start show that orders flow.
const flowing = 32

// waitFlow waits until orders flow on every lane.
func (r *run) waitFlow() error {
	deadline := time.Now().Add(loadGrace)
	for _, l := range r.lanes {
		for start := l.records(); l.records() < start+flowing; {
			if time.Now().After(deadline) {
				return fmt.Errorf("no orders flow on lane %d within %v", l.ID, loadGrace)
			}
			if err := r.rest(pollEvery); err != nil {
				return err
			}
		}
	}
	return nil
}

// lead is the load before the fault, and then some: faults must not always
// meet the same phase of the timers.
func (r *run) lead(d time.Duration) error { return r.rest(d + rand.N(phase)) }

// trail is the load after the fault.
func (r *run) trail() error {
	if r.o.Client == ClientFIX {
		if err := r.awaitFIX(); err != nil {
			return err
		}
	}
	return r.rest(r.o.Duration / 2)
}

// waitReady waits until every lane has both of its nodes: it may have changed
// hands before the fault, that is counted and no error here.
func (r *run) waitReady() error {
	deadline := time.Now().Add(readyTimeout)
	for _, l := range r.lanes {
		for !l.inSync() {
			if time.Now().After(deadline) {
				return fmt.Errorf("lane %d is not in sync before the fault: %s %v, %s %v", l.ID,
					l.Primary, l.word(l.Primary), l.Standby, l.word(l.Standby))
			}
			if err := r.rest(time.Millisecond); err != nil {
				return err
			}
		}
	}
	return nil
}

// rest lets time pass and notices a stop and processes that ended on their own.
func (r *run) rest(d time.Duration) error {
	for end := time.Now().Add(d); ; {
		select {
		case <-r.stop:
			return ErrStopped
		default:
		}
		for place, p := range r.processes {
			if p.ended() && !r.isDead(place) {
				return fmt.Errorf("%s ended too early: %w", place, p.why())
			}
		}
		for _, l := range r.lanes {
			if l.client != nil && l.client.ended() {
				return fmt.Errorf("the load ended too early: %w", l.client.why())
			}
		}
		left := time.Until(end)
		if left <= 0 {
			return nil
		}
		time.Sleep(min(pollEvery, left))
	}
}

// endLoads ends the clients and waits until they have their last answers.
func (r *run) endLoads() error {
	for _, l := range r.lanes {
		if err := l.client.signal(syscall.SIGTERM); err != nil {
			return err
		}
	}
	deadline := time.After(loadGrace)
	for _, l := range r.lanes {
		select {
		case <-l.client.done:
			if l.client.err != nil {
				return fmt.Errorf("load: %w", l.client.err)
			}
		case <-r.stop:
			return ErrStopped
		case <-deadline:
			return fmt.Errorf("load did not end within %v", loadGrace)
		}
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

// stopAll ends what still lives, standbys first; a process that cannot end well
// is an error of the run.
func (r *run) stopAll() error {
	writer, other := r.lanes[0].serving()
	order := []string{other, writer}
	for _, place := range append(r.lab.Nodes(), lab.Venue, lab.Witness) {
		if !slices.Contains(order, place) {
			order = append(order, place)
		}
	}
	for name := range r.processes {
		if !slices.Contains(order, name) {
			order = append(order, name)
		}
	}
	var errs []error
	for _, place := range order {
		if p := r.processes[place]; p != nil && !r.isDead(place) {
			errs = append(errs, p.stop())
		}
	}
	return errors.Join(errs...)
}
