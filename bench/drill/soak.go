package drill

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"onebeat/bench/lab"
	"onebeat/mirror/lane"
	"onebeat/tools/control"
)

// Policies of a drill's lanes.
const (
	PolicyMirrored = "mirrored"
	PolicyNone     = "none"
)

// Soaked is what a soak did and saw.
type Soaked struct {
	Seed     uint64 `json:"seed"`
	Policy   string `json:"policy"`
	Records  uint64 `json:"records"` // committed, as another process read them
	Orders   uint64 `json:"orders"`  // among them, each once
	LogBytes uint64 `json:"log_bytes"`
	// What was done.
	PrimaryKills int `json:"primary_kills"`
	StandbyKills int `json:"standby_kills"`
	FullDisks    int `json:"full_disks"`
	CutFiles     int `json:"cut_files"`
	DaemonKills  int `json:"daemon_kills"` // of mirror daemons, half of them archivers
	// Laps counts how often the reader went on in the archive, Missed the bytes that
	// neither ring nor archive had for it any more: a disk was full meanwhile.
	Laps   uint64 `json:"laps"`
	Missed uint64 `json:"missed_bytes"`
	// AckedLost are orders that were acknowledged and are in no log: policy none.
	AckedLost int64 `json:"acked_lost"`
}

func (s *Soaked) String() string {
	return fmt.Sprintf("soak with seed %d, policy %s: %d records (%d MiB) read once each by another process, %d orders; "+
		"%d kills of the primary, %d of the standby, %d of mirror daemons, %d full disks, %d cut files; the reader went on in the archive %d times and missed %d bytes; acknowledged and lost: %d",
		s.Seed, s.Policy, s.Records, s.LogBytes>>20, s.Orders, s.PrimaryKills, s.StandbyKills, s.DaemonKills, s.FullDisks, s.CutFiles, s.Laps, s.Missed, s.AckedLost)
}

// soaking is a soak under way.
type soaking struct {
	*run
	rng    *rand.Rand
	result *Soaked
	witn   *witness
}

const (
	// soakPause is the longest time between two harms.
	soakPause = 800 * time.Millisecond
	// soakReady is how long a node may take to catch up.
	soakReady = time.Minute
	// soakDown is the longest time that a killed node stays dead.
	soakDown = 400 * time.Millisecond
	// soakOrders bounds the load: the client keeps them all.
	soakOrders = 40_000_000
	// soakEpochs is what a harm may take: on a busy machine a node that starts or
	// replays is taken for hung once more.
	soakEpochs = 1000
)

// soak harms whatever comes, again and again, until so many records were read.
func (r *run) soak() error {
	s := &soaking{run: r, result: &Soaked{Seed: cmp.Or(r.o.Seed, rand.Uint64()), Policy: r.o.Policy}}
	s.rng = rand.New(rand.NewPCG(s.result.Seed, 0))
	r.soaked = s.result
	r.say("soak: %d records, policy %s, --seed %d plays the same harms again", r.o.Records, r.o.Policy, s.result.Seed)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	w, err := startWitnessing(ctx, r)
	if err != nil {
		return err
	}
	s.witn = w
	harms := []func() error{s.killWriter, s.killWriter, s.killOther, s.killDaemon, s.fillDisk, s.cutFile}
	for w.records() < uint64(r.o.Records) {
		err := harms[s.rng.IntN(len(harms))]()
		if err == nil {
			err = r.rest(time.Duration(s.rng.Int64N(int64(soakPause))))
		}
		if err == nil {
			err = w.failed()
		}
		if err != nil {
			cancel()
			return fmt.Errorf("soak with seed %d, %d records: %w", s.result.Seed, w.records(), err)
		}
	}
	r.witnessed = w
	return r.waitReady()
}

// down is how long a node stays dead this time.
func (s *soaking) down() time.Duration { return time.Duration(s.rng.Int64N(int64(soakDown))) }

// killWriter ends the primary; it comes back.
func (s *soaking) killWriter() error {
	l := s.lanes[0]
	writer, _ := l.serving()
	m := l.mark(fmt.Sprintf("SIGKILL to %s, the primary", writer), Either, soakEpochs)
	if err := s.killNode(writer); err != nil {
		return err
	}
	s.result.PrimaryKills++
	if err := l.watchTakeover(s.run, m); err != nil {
		return err
	}
	return s.comeBack(l, writer, m)
}

// killOther ends the standby; it comes back.
func (s *soaking) killOther() error { return s.killOtherAnd(func() error { return nil }) }

// killOtherAnd does something more once it is about to come back.
func (s *soaking) killOtherAnd(meanwhile func() error) error {
	l := s.lanes[0]
	_, other := l.serving()
	m := l.mark(fmt.Sprintf("SIGKILL to %s, the standby", other), Either, soakEpochs)
	if err := s.killNode(other); err != nil {
		return err
	}
	s.result.StandbyKills++
	if err := s.rest(s.down()); err != nil {
		return err
	}
	if err := meanwhile(); err != nil {
		return err
	}
	return s.comeBack(l, other, m)
}

func (s *soaking) comeBack(l *laneRun, place string, m *Mark) error {
	if err := s.rest(s.down()); err != nil {
		return err
	}
	if err := s.restartAny(place); err != nil {
		return err
	}
	err := l.waitInSync(s.run, m)
	writer, _ := l.serving()
	m.EndEpoch = l.word(writer).Epoch()
	return err
}

// restartAny starts a dead node and waits until its engine has a part again,
// whichever. The word in its memory says nothing: its kernel may have gone on as a
// standby while it was dead.
func (r *run) restartAny(place string) error {
	<-r.processes[place].done
	if err := r.begin(place); err != nil {
		return err
	}
	p, l := r.processes[place], r.lanes[0]
	for deadline := time.Now().Add(soakReady); ; {
		var status control.Status
		err := call(r.lab, place, l.ID, control.CmdStatus, &status)
		if err == nil && status.PID == p.cmd.Process.Pid {
			if s := status.Lane(l.ID); s != nil && (s.State == lane.Standby.String() || s.State == lane.Active.String()) {
				break
			}
		}
		if p.ended() {
			return fmt.Errorf("%s ended while starting: %w", place, p.why())
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s has no part within %v of its start: %v, the other one %v", place, soakReady, l.word(place), l.word(l.Peer(place)))
		}
		if err := r.rest(pollEvery); err != nil {
			return err
		}
	}
	v, err := openNode(r.lab, place, l.ID)
	if err != nil {
		return err
	}
	return l.reopen(place, v)
}

// fillDisk takes all room on a node's disk away for a while.
func (s *soaking) fillDisk() error {
	place := []string{lab.NodeA, lab.NodeB}[s.rng.IntN(2)]
	s.aside(place + "'s disk is full")
	s.result.FullDisks++
	d := s.disks[place]
	if err := d.fill(); err != nil {
		return err
	}
	if err := s.run.rest(s.down()); err != nil {
		return err
	}
	// One may die meanwhile, too. A writer whose disk is full for longer than its
	// ring holds has nothing to give to a standby that comes back: there is room again
	// before that.
	if s.rng.IntN(3) == 0 {
		return s.killOtherAnd(d.free)
	}
	return d.free()
}

// cutFile ends a node, and its newest segment somewhere in it.
func (s *soaking) cutFile() error {
	l := s.lanes[0]
	_, other := l.serving()
	m := l.mark(fmt.Sprintf("SIGKILL to %s, the standby, and its archive's newest file loses its end", other), Either, soakEpochs)
	if err := s.killNode(other); err != nil {
		return err
	}
	<-s.processes[other].done
	if other == byDaemon { // who writes that file
		if err := s.endDaemon(other); err != nil {
			return err
		}
	}
	if err := s.disks[other].cut(s.rng); err != nil {
		return err
	}
	s.result.CutFiles++
	if other == byDaemon {
		if err := s.beginDaemon(other); err != nil {
			return err
		}
	}
	return s.comeBack(l, other, m)
}

// endSoak adds what the reader knows.
func (r *run) endSoak(v *Verdict, logs *Logs) {
	if r.witnessed == nil {
		return
	}
	r.witnessed.judge(v, logs, r.soaked)
	r.say("%v; outside of all harms the writer changed %d times and went on alone %d times", r.soaked, v.FalseFailovers, v.WentAlone)
}

// courseMax is how long a course may take: the load is due as long.
func (r *run) courseMax() time.Duration {
	if r.o.Fault == FaultSoak {
		return time.Duration(soakOrders/r.o.RatePerSecond) * time.Second
	}
	return courseMax
}
