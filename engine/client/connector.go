package client

import (
	"cmp"
	"fmt"

	"onebeat/engine/sbe"
)

// State of a Connector.
//
//	Connecting --the session is up--> Up --lost, silent--> Connecting
//	Connecting --timeout--> Connecting (another host) | Resting (a round failed)
//	Resting --its time is over--> Connecting
//	any --the strategy gives up, the session is another's--> Failed
//	any --Close--> Closed
type State uint8

// States of a Connector.
const (
	Connecting State = iota
	Up
	Resting
	Failed
	Closed
)

var stateNames = [...]string{"connecting", "up", "resting", "failed", "closed"}

// String returns the state's name.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// Why a Connector changed its state.
type Why uint8

// Reasons.
const (
	Started     Why = iota
	Established     // the session is up
	Timeout         // nothing in time from the host
	Silent          // the host had served, and does not answer any more
	Ended           // the server ended the session
	Rested          // the time of Resting is over
	GaveUp          // the strategy did
	TakenOver       // another client has the session
	HandedOver      // another host speaks for the session
	ByUser
)

var whyNames = [...]string{"started", "established", "timeout", "silent", "ended", "rested", "gave up", "taken over", "handed over", "by the user"}

// String says the reason.
func (w Why) String() string {
	if int(w) < len(whyNames) {
		return whyNames[w]
	}
	return fmt.Sprintf("why(%d)", uint8(w))
}

// Change is what a state callback hears: inside Poll, on its goroutine.
type Change struct {
	From, To State
	Host     int
	Why      Why
	Code     sbe.SessionCode // what the server last said against the session
	Failed   int             // attempts in a row
	NowNs    int64
}

// ConnectorConfig configures a Connector; zero values mean the defaults in brackets.
type ConnectorConfig struct {
	// TimeoutsNs is, for each host, how long an attempt may take.
	TimeoutsNs []int64
	Strategy   Strategy // [PrimaryFirst]
	Backoff    Backoff
	Breaker    Breaker
	// SilenceNs is how long a host that serves may let a request wait without a
	// sign of life before another is asked [100 ms].
	SilenceNs int64
	// OnChange hears every change of state; nil: nobody does.
	OnChange func(c Change)
}

// Connector decides which host a client speaks to. It knows no sockets: Poll is
// told what was heard, and says where to send.
type Connector struct {
	cfg   ConnectorConfig
	state State
	hosts []hostRecord
	host  int

	attempt uint64
	failed  int   // attempts in a row
	tried   int   // hosts in this round
	round   int   // rounds in a row in which nobody served
	sinceNs int64 // of the attempt, or of the rest
	untilNs int64 // of the rest
	waitNs  int64 // since when something waits for an answer; 0: nothing does
	dice    uint64
}

type hostRecord struct {
	timeoutNs int64
	failures  int
	openNs    int64 // its breaker is open until then
}

// Look is what a client sees of its session.
type Look struct {
	Ready   bool  // the session is established
	HeardNs int64 // when the last datagram came
	Waiting bool  // something waits for an answer
	Ended   bool  // the session was closed from the other side for good
	Code    sbe.SessionCode
}

// NewConnector returns a connector whose first Poll begins a search.
func NewConnector(cfg ConnectorConfig) (*Connector, error) {
	if len(cfg.TimeoutsNs) == 0 {
		return nil, fmt.Errorf("%w: no host to connect to", ErrConfig)
	}
	cfg.Backoff.MinNs = cmp.Or(cfg.Backoff.MinNs, 10_000_000)
	cfg.Backoff.MaxNs = cmp.Or(cfg.Backoff.MaxNs, 1_000_000_000)
	cfg.Breaker.OpenNs = cmp.Or(cfg.Breaker.OpenNs, 5_000_000_000)
	cfg.SilenceNs = cmp.Or(cfg.SilenceNs, 100_000_000)
	if cfg.Strategy == nil {
		cfg.Strategy = PrimaryFirst{}
	}
	if b := cfg.Backoff; b.MinNs < 1 || b.MaxNs < b.MinNs || cfg.Breaker.Failures < 0 || cfg.Breaker.OpenNs < 1 || cfg.SilenceNs < 1 {
		return nil, fmt.Errorf("%w: backoff of %d to %d ns, breaker of %d failures for %d ns, silence of %d ns: give positive times, the greatest last",
			ErrConfig, b.MinNs, b.MaxNs, cfg.Breaker.Failures, cfg.Breaker.OpenNs, cfg.SilenceNs)
	}
	c := &Connector{cfg: cfg, host: -1, dice: cfg.Backoff.Seed, hosts: make([]hostRecord, len(cfg.TimeoutsNs))}
	for i, ns := range cfg.TimeoutsNs {
		if c.hosts[i].timeoutNs = cmp.Or(ns, 1_000_000_000); ns < 0 {
			return nil, fmt.Errorf("%w: timeout of %d ns for host %d: give a positive time", ErrConfig, ns, i)
		}
	}
	return c, nil
}

// State returns the state, Host the host last chosen; -1: none yet.
func (c *Connector) State() State { return c.state }

// Host returns the host last chosen; -1: none yet.
func (c *Connector) Host() int { return c.host }

// Attempt numbers the attempts to reach a host: whoever sees it rise asks anew.
func (c *Connector) Attempt() uint64 { return c.attempt }

// Close ends all attempts.
func (c *Connector) Close(nowNs int64) { c.enter(Closed, ByUser, sbe.SessionCodeUnspecified, nowNs) }

// Moved tells that a host speaks for the established session that was not the one
// asked: what served there has died or handed over, and this one has it.
func (c *Connector) Moved(host int, nowNs int64) {
	if c.state >= Failed || host == c.host {
		return
	}
	c.host, c.sinceNs, c.waitNs = host, nowNs, 0
	if c.state != Connecting {
		c.enter(Connecting, HandedOver, sbe.SessionCodeUnspecified, nowNs)
	}
}

// Poll decides where to send now; send false: nowhere.
func (c *Connector) Poll(nowNs int64, l *Look) (host int, send bool) {
	if c.host < 0 && c.state == Connecting {
		c.search(Started, l, nowNs)
	}
	switch {
	case c.state >= Failed:
		return 0, false
	case l.Ended && l.Code == sbe.SessionCodeTakenOver:
		c.enter(Failed, TakenOver, l.Code, nowNs)
		return 0, false
	case l.Ended:
		c.enter(Closed, ByUser, l.Code, nowNs)
		return 0, false
	}
	switch c.state {
	case Connecting:
		c.pollConnecting(l, nowNs)
	case Up:
		c.pollUp(l, nowNs)
	case Resting:
		if nowNs >= c.untilNs {
			c.sinceNs, c.tried = nowNs, 0
			c.attempt++
			c.enter(Connecting, Rested, l.Code, nowNs)
		}
	}
	return c.host, c.state == Connecting || c.state == Up
}

// pollConnecting: an attempt is good once the session is up and its host was heard.
func (c *Connector) pollConnecting(l *Look, nowNs int64) {
	h := &c.hosts[c.host]
	switch {
	case l.Ready && l.HeardNs >= c.sinceNs:
		*h = hostRecord{timeoutNs: h.timeoutNs}
		c.failed, c.tried, c.round, c.waitNs = 0, 0, 0, 0
		c.enter(Up, Established, sbe.SessionCodeUnspecified, nowNs)
	case nowNs-c.sinceNs >= h.timeoutNs:
		c.fail(l, nowNs)
	}
}

func (c *Connector) pollUp(l *Look, nowNs int64) {
	switch {
	case !l.Waiting:
		c.waitNs = 0
	case c.waitNs == 0:
		c.waitNs = nowNs
	}
	switch {
	case !l.Ready: // the same host first: its server said so, or is restarting
		c.sinceNs = nowNs
		c.enter(Connecting, Ended, l.Code, nowNs)
	case l.Waiting && nowNs-max(l.HeardNs, c.waitNs) >= c.cfg.SilenceNs:
		c.search(Silent, l, nowNs)
	}
}

// fail ends an attempt. Behind the last host of a round the client rests.
func (c *Connector) fail(l *Look, nowNs int64) {
	h := &c.hosts[c.host]
	h.failures++
	if b := c.cfg.Breaker; b.Failures > 0 && h.failures >= b.Failures {
		h.openNs = nowNs + b.OpenNs
	}
	c.failed++
	c.tried++
	c.search(Timeout, l, nowNs)
}

// search asks the strategy for a host whose breaker is closed.
func (c *Connector) search(why Why, l *Look, nowNs int64) {
	s := Search{Hosts: len(c.hosts), Last: c.host, Failed: c.failed}
	restNs := int64(0)
	for range c.hosts {
		host, ok := c.cfg.Strategy.Next(s)
		if !ok {
			c.enter(Failed, GaveUp, l.Code, nowNs)
			return
		}
		c.host = min(max(host, 0), len(c.hosts)-1)
		openNs := c.hosts[c.host].openNs
		if openNs <= nowNs {
			restNs = 0
			break
		}
		// All open: until the first of them is not.
		if left := openNs - nowNs; restNs == 0 || left < restNs {
			restNs = left
		}
		s.Last = c.host
		s.Failed = max(s.Failed, 1)
	}
	if c.tried >= len(c.hosts) {
		restNs = max(restNs, c.cfg.Backoff.rest(c.round, &c.dice))
		c.round++
	}
	if c.sinceNs = nowNs; restNs > 0 {
		c.untilNs = nowNs + restNs
		c.enter(Resting, why, l.Code, nowNs)
		return
	}
	c.attempt++
	c.enter(Connecting, why, l.Code, nowNs)
}

func (c *Connector) enter(to State, why Why, code sbe.SessionCode, nowNs int64) {
	from := c.state
	c.state = to
	if c.cfg.OnChange != nil {
		c.cfg.OnChange(Change{From: from, To: to, Host: c.host, Why: why, Code: code, Failed: c.failed, NowNs: nowNs})
	}
}
