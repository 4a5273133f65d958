package track

import (
	"strings"
	"testing"
	"time"
)

var policy = Policy{At: 100, Clear: 60, Hold: time.Second, MinInterval: 10 * time.Second}

// day is a lane on one node, stepped in tenths of a second.
type day struct {
	*Decider
	t    *testing.T
	now  time.Time
	view View
}

func newDay(t *testing.T, p Policy) *day {
	return &day{Decider: NewDecider(p), t: t, now: time.Unix(1_000_000, 0)}
}

// run returns after how many seconds a handover came, -1 if none did.
func (d *day) run(seconds float64) float64 {
	began := d.now
	for ; d.now.Sub(began).Seconds() < seconds; d.now = d.now.Add(100 * time.Millisecond) {
		if decision := d.Decide(d.view, d.now); decision.HandOver {
			at := d.now.Sub(began).Seconds()
			d.now = d.now.Add(100 * time.Millisecond)
			return at
		}
	}
	return -1
}

func (d *day) expect(what string, seconds, least, most float64) {
	d.t.Helper()
	if at := d.run(seconds); at < least || at > most {
		d.t.Errorf("%s: handover after %.1f s, want %.1f to %.1f", what, at, least, most)
	}
}

func (d *day) never(what string, seconds float64) {
	d.t.Helper()
	if at := d.run(seconds); at >= 0 {
		d.t.Errorf("%s: handover after %.1f s", what, at)
	}
}

func points(n int) Score { return Score{Points: n, Checks: n} }

func TestHandoverAtTheLine(t *testing.T) {
	d := newDay(t, policy)
	d.view = View{Active: true, Ready: true, Score: points(0)}
	d.never("healthy", 60)
	d.view.Score = points(99)
	d.never("below the line", 60)
	d.view.Score = points(100)
	d.expect("at the line", 60, 0.9, 1.1)
}

func TestShortSicknessIsNone(t *testing.T) {
	d := newDay(t, policy)
	d.view = View{Active: true, Ready: true}
	for range 20 {
		d.view.Score = points(150)
		d.never("for less than a second", 0.8)
		d.view.Score = points(0)
		d.never("healthy", 1)
	}
}

func TestStandbyMustBeReady(t *testing.T) {
	d := newDay(t, policy)
	d.view = View{Active: true, Score: points(500), Cut: true}
	d.never("no standby", 60)
	if got := d.Decide(d.view, d.now); got.Reason != "no standby is ready" {
		t.Errorf("%+v", got)
	}
	d.view.Ready = true
	d.expect("ready at last", 60, 0, 0.2)
}

func TestOffByDefault(t *testing.T) {
	d := newDay(t, Policy{MinInterval: time.Second})
	d.view = View{Active: true, Ready: true, Score: points(1000)}
	d.never("no line is configured", 600)
	checks := newDay(t, Policy{At: 100, MinInterval: time.Second, ChecksOnly: true})
	checks.view = View{Active: true, Ready: true, Score: Score{Points: 150, Checks: 50}}
	checks.never("only checks count", 60)
	checks.view.Score.Checks = 100
	checks.expect("they do", 60, 0, 1.1)
}

// TestCarrierIsLostAtOnce: no hold, no interval after becoming ACTIVE.
func TestCarrierIsLostAtOnce(t *testing.T) {
	d := newDay(t, Policy{MinInterval: 10 * time.Second}) // no line: this is not a score
	d.view = View{Active: true, Ready: true}
	d.never("carrier", 2)
	d.view.Cut = true
	d.view.Ready = false
	d.never("lost, but the standby is late", 1)
	d.view.Ready = true
	d.expect("ready", 5, 0, 0.01)
}

// TestHandoverThatWasNotBegun: the standby went between the look and the question. The
// node asks again soon; a handover before that still counts.
func TestHandoverThatWasNotBegun(t *testing.T) {
	d := newDay(t, Policy{MinInterval: 10 * time.Second})
	d.view = View{Active: true, Ready: true}
	d.never("carrier", 2)
	d.view.Cut = true
	d.expect("lost", 1, 0, 0.01)
	d.Refused(d.now)
	d.expect("asked again", 5, 0.2, 0.4)
	d.Refused(d.now)
	d.view.Ready = false
	d.never("not ready", 5)
	d.view.Ready = true
	d.expect("asked a third time", 5, 0, 0.01)
	d.expect("given", 20, 9.8, 10)
	d.Refused(d.now)
	d.expect("given before", 20, 0.2, 0.4)
}

// TestNodeThatWasCutOffBefore waits like any sick one.
func TestNodeThatWasCutOffBefore(t *testing.T) {
	d := newDay(t, policy)
	d.view = View{Cut: true}
	d.never("standby", 5)
	d.view.Active, d.view.Ready = true, true
	d.expect("ACTIVE and cut off", 60, 9.8, 10.2)
}

// TestTwoSickNodesDoNotPlayPingPong: both are far above the line, or both
// without carrier, and each is ready whenever the other serves.
func TestTwoSickNodesDoNotPlayPingPong(t *testing.T) {
	for _, c := range []struct {
		name string
		sick View
	}{
		{"score", View{Score: points(300)}},
		{"carrier", View{Cut: true}},
	} {
		nodes := [2]*day{newDay(t, policy), newDay(t, policy)}
		writer, handovers, last, least := 0, 0, time.Duration(0), time.Hour
		now := time.Unix(1_000_000, 0)
		for step := range 36_000 { // an hour
			elapsed := time.Duration(step) * 100 * time.Millisecond
			for i, d := range nodes {
				v := View{Active: i == writer, Ready: true}
				if elapsed > time.Minute {
					v.Score, v.Cut = c.sick.Score, c.sick.Cut
				}
				if d.Decide(v, now.Add(elapsed)).HandOver {
					if handovers > 1 {
						least = min(least, elapsed-last)
					}
					writer, last = 1-writer, elapsed
					handovers++
				}
			}
		}
		// 10 s, 20 s, … 640 s on each node: a dozen and a half in an hour.
		if handovers < 2 || handovers > 20 || least < 9*time.Second {
			t.Errorf("%s: %d handovers in an hour, the closest after %v", c.name, handovers, least)
		}
		t.Logf("%s: %d handovers in an hour, the closest two %v apart", c.name, handovers, least)
	}
}

// TestRecoveryArmsAgain: who was healthy in between may hand over again after
// the interval, not after the doubled one.
func TestRecoveryArmsAgain(t *testing.T) {
	d := newDay(t, policy)
	d.view = View{Active: true, Ready: true, Score: points(100)}
	d.expect("first", 60, 9.9, 10.1)
	for range 3 { // the lane comes back while it is sick
		d.view.Active = false
		d.never("standby", 1)
		d.view.Active = true
		d.expect("sick again", 700, 10, 100)
	}
	d.view.Active, d.view.Score = false, points(70)
	d.never("not clear yet", 1)
	d.view.Score = points(60)
	d.never("clear", 60)
	d.view.Active = true
	d.never("healthy", 60)
	d.view.Score = points(100)
	d.expect("sick anew", 60, 0.9, 1.1)
}

func TestScoreParts(t *testing.T) {
	w := Weights{Latency: 40, Ring: 20, Flaps: 30, LateTicks: 30, LatencyNs: 2_000_000, FlapsMax: 3}
	for _, c := range []struct {
		name  string
		signs Signs
		want  int
		part  string
	}{
		{"healthy", Signs{LatencyNs: 900_000, RingFill: 0.4, LateFraction: 0.01}, 0, ""},
		{"latency", Signs{LatencyNs: 1_500_000}, 20, "latency 20"},
		{"far too slow", Signs{LatencyNs: 1e9}, 40, "latency 40"},
		{"ring", Signs{RingFill: 0.7}, 10, "ring 10"},
		{"ring full", Signs{RingFill: 1}, 20, "ring 20"},
		{"a flap", Signs{Flaps: 1, FlapsOf: "eth1"}, 10, "flaps 10"},
		{"late", Signs{LateFraction: 0.5}, 30, "late ticks 30"},
		{"checks", Signs{Down: []Down{{"db", 60, "x"}, {"gw", 50, "y"}}}, 110, "check db 60"},
		{"all", Signs{LatencyNs: 1e9, RingFill: 1, Flaps: 9, LateFraction: 1, Down: []Down{{"db", 60, "x"}}}, 180, "check db 60"},
	} {
		s := w.Rate(&c.signs)
		text := ""
		sum := 0
		for _, p := range s.Parts {
			sum += p.Points
			if p.Points > 0 {
				text += p.Name + " " + itoa(p.Points) + ","
			}
		}
		if s.Points != c.want || sum != c.want || !strings.Contains(text, c.part) {
			t.Errorf("%s: %d of %q, want %d with %q", c.name, s.Points, text, c.want, c.part)
		}
	}
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}
