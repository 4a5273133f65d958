package track

import "fmt"

// Weights are what each part adds to a score at most, and where it begins to.
type Weights struct {
	Latency, Ring, Flaps, LateTicks int
	// LatencyNs is how long a record may wait for its ACK: at half of it the
	// part begins, at all of it the part is full.
	LatencyNs int64
	// FlapsMax of a carrier within a minute make that part full.
	FlapsMax int
}

// Signs are what a score is made of, of one lane at one moment.
type Signs struct {
	LatencyNs    int64   // recent wait for an ACK
	RingFill     float64 // of the ring that the standby has not yet applied
	FlapsOf      string
	Flaps        int
	LateFraction float64 // of the kernel's ticks, lately
	Down         []Down  // failing checks
}

// Down is a check that fails.
type Down struct {
	Name   string
	Weight int
	Why    string
}

// Part is one addend of a score.
type Part struct {
	Name   string `json:"name"`
	Points int    `json:"points"`
	Max    int    `json:"max"`
	Detail string `json:"detail,omitempty"`
}

// Score says how sick a node is for a lane; 0 is healthy.
type Score struct {
	Points int `json:"points"`
	// Checks is what the failing checks alone add.
	Checks int    `json:"checks"`
	Parts  []Part `json:"parts"`
}

// Where the parts without a setting of their own begin and are full.
const (
	ringBegins, ringFull = 0.5, 0.9
	lateBegins, lateFull = 0.02, 0.2
)

// Rate adds the parts up.
func (w *Weights) Rate(s *Signs) Score {
	var score Score
	add := func(name string, max int, share float64, detail string) {
		points := int(share*float64(max) + 0.5)
		score.Points += points
		score.Parts = append(score.Parts, Part{Name: name, Points: points, Max: max, Detail: detail})
	}
	add("latency", w.Latency, ramp(float64(s.LatencyNs), float64(w.LatencyNs)/2, float64(w.LatencyNs)),
		fmt.Sprintf("%.1f us to an ACK, may be %.1f", float64(s.LatencyNs)/1e3, float64(w.LatencyNs)/1e3))
	add("ring", w.Ring, ramp(s.RingFill, ringBegins, ringFull), fmt.Sprintf("%.0f%% not applied by the standby", 100*s.RingFill))
	flaps := ""
	if s.Flaps > 0 {
		flaps = fmt.Sprintf("%s lost its carrier %d times in a minute", s.FlapsOf, s.Flaps)
	}
	add("flaps", w.Flaps, ramp(float64(s.Flaps), 0, float64(w.FlapsMax)), flaps)
	add("late ticks", w.LateTicks, ramp(s.LateFraction, lateBegins, lateFull), fmt.Sprintf("%.1f%% of the kernel's ticks", 100*s.LateFraction))
	for _, d := range s.Down {
		score.Checks += d.Weight
		add("check "+d.Name, d.Weight, 1, d.Why)
	}
	return score
}

// ramp rises from 0 at low to 1 at high.
func ramp(x, low, high float64) float64 {
	if high <= low {
		return 0
	}
	return min(1, max(0, (x-low)/(high-low)))
}
