package pin

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

// gapsKept are the longest gaps of a core that are told one by one.
const gapsKept = 10

// jitterEdgesNs divide the histogram of gaps.
var jitterEdgesNs = [...]int64{1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000}

// Gap is a time in which a spinning thread did not run.
type Gap struct {
	AtNs     int64 `json:"at_ns"` // since the measurement began
	LengthNs int64 `json:"length_ns"`
}

// Bar is one bar of a histogram: gaps below ToNs, from the bar before on.
type Bar struct {
	ToNs  int64  `json:"to_ns"` // 0: no end
	Count uint64 `json:"count"`
}

// Interruptions are how often one source interrupted a core meanwhile.
type Interruptions struct {
	Name  string `json:"name"`
	Count uint64 `json:"count"`
}

// Jitter is how a thread that only looked at the clock was disturbed on a core.
type Jitter struct {
	Core     int             `json:"core"`
	SpanNs   int64           `json:"span_ns"`
	Looks    uint64          `json:"looks"`
	StolenNs int64           `json:"stolen_ns"` // in gaps of a microsecond and more
	Longest  []Gap           `json:"longest"`
	Bars     []Bar           `json:"histogram"`
	Sources  []Interruptions `json:"interrupts,omitempty"`
}

// MeasureJitter spins on each of the cores at once for a while. What else runs
// there meanwhile, the other measuring threads aside, is what would disturb a loop.
func (h Host) MeasureJitter(cores []int, span time.Duration) ([]Jitter, error) {
	results, errs := make([]Jitter, len(cores)), make([]error, len(cores))
	before, _ := h.interrupts()
	start := time.Now()
	var all sync.WaitGroup
	for i, core := range cores {
		all.Go(func() {
			unlock, err := LockThread(core)
			if err != nil {
				errs[i] = err
				return
			}
			defer unlock()
			results[i] = spin(start, span)
			results[i].Core = core
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	after, _ := h.interrupts()
	for i := range results {
		results[i].Sources = moved(before, after, results[i].Core)
	}
	return results, nil
}

// spin looks at the clock without a pause.
func spin(start time.Time, span time.Duration) Jitter {
	j := Jitter{Longest: make([]Gap, 0, gapsKept+1), Bars: make([]Bar, len(jitterEdgesNs)+1)}
	for i, edge := range jitterEdgesNs {
		j.Bars[i].ToNs = edge
	}
	first := time.Since(start).Nanoseconds()
	for last := first; last-first < span.Nanoseconds(); {
		now := time.Since(start).Nanoseconds()
		gap := now - last
		j.Looks++
		if gap < jitterEdgesNs[0] {
			j.Bars[0].Count++
		} else {
			j.note(Gap{last, gap})
		}
		last, j.SpanNs = now, now-first
	}
	return j
}

func (j *Jitter) note(g Gap) {
	bar := len(jitterEdgesNs)
	for i, edge := range jitterEdgesNs {
		if g.LengthNs < edge {
			bar = i
			break
		}
	}
	j.Bars[bar].Count++
	j.StolenNs += g.LengthNs
	if n := len(j.Longest); n == gapsKept && g.LengthNs <= j.Longest[n-1].LengthNs {
		return
	}
	at := sort.Search(len(j.Longest), func(i int) bool { return j.Longest[i].LengthNs < g.LengthNs })
	j.Longest = slices.Insert(j.Longest, at, g)
	j.Longest = j.Longest[:min(len(j.Longest), gapsKept)]
}

// LongestNs is the longest gap.
func (j *Jitter) LongestNs() int64 {
	if len(j.Longest) == 0 {
		return 0
	}
	return j.Longest[0].LengthNs
}

// Finding says what a core's gaps mean for a lane.
func (j *Jitter) Finding() Finding {
	subject := fmt.Sprintf("core %d, measured", j.Core)
	longest := time.Duration(j.LongestNs())
	what := fmt.Sprintf("longest gap %v in %v, %.3f %% of the time taken", longest, time.Duration(j.SpanNs).Round(time.Millisecond), 100*float64(j.StolenNs)/float64(max(j.SpanNs, 1)))
	if len(j.Sources) > 0 {
		what += ", most interrupts: "
		for i, s := range j.Sources {
			if i > 0 {
				what += ", "
			}
			what += fmt.Sprintf("%s %d", s.Name, s.Count)
		}
	}
	const remedy = "see the findings of this core above; on a virtual machine ask for dedicated cores"
	switch {
	case longest >= 5*time.Millisecond:
		return problem(subject, what, "a lane with heartbeat = \"5ms\" fails over when nothing has failed; set heartbeat and hang_budget to some times the longest gap", remedy)
	case longest >= 100*time.Microsecond:
		return warning(subject, what, "an order that meets such a gap waits as long: p99.9 and beyond", remedy)
	}
	return note(subject, "%s", what)
}

// sourcesKept are the interrupts of a core that are told.
const sourcesKept = 3

// moved returns what interrupted a core most between two looks.
func moved(before, after map[string][]uint64, core int) []Interruptions {
	var all []Interruptions
	for name, counts := range after {
		if core < 0 || core >= len(counts) {
			continue
		}
		n := counts[core]
		if b := before[name]; core < len(b) {
			n -= min(n, b[core])
		}
		if n > 0 {
			all = append(all, Interruptions{name, n})
		}
	}
	slices.SortFunc(all, func(a, b Interruptions) int {
		if a.Count != b.Count {
			return int(min(b.Count, 1<<31)) - int(min(a.Count, 1<<31))
		}
		return strings.Compare(a.Name, b.Name)
	})
	return all[:min(len(all), sourcesKept)]
}

// interrupts reads /proc/interrupts: counts by CPU, of each line.
func (h Host) interrupts() (map[string][]uint64, error) {
	f, err := os.Open(h.path("/proc/interrupts"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	counts := map[string][]uint64{}
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	var cpus []int // by column: cores that are off have none
	for sc.Scan() {
		if cpus == nil {
			for _, word := range strings.Fields(sc.Text()) {
				n, err := strconv.Atoi(strings.TrimPrefix(word, "CPU"))
				if err != nil || n < 0 || n >= maxCPU {
					return nil, fmt.Errorf("/proc/interrupts: column %q", word)
				}
				cpus = append(cpus, n)
			}
			continue
		}
		label, rest, ok := strings.Cut(strings.TrimSpace(sc.Text()), ":")
		fields := strings.Fields(rest)
		if !ok || len(fields) < len(cpus) || len(cpus) == 0 {
			continue
		}
		row := make([]uint64, slices.Max(cpus)+1)
		for i, cpu := range cpus {
			row[cpu], _ = strconv.ParseUint(fields[i], 10, 64)
		}
		if len(fields) > len(cpus) {
			label += " (" + fields[len(fields)-1] + ")"
		}
		counts[label] = row
	}
	return counts, sc.Err()
}
