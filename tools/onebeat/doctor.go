package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"onebeat/pin"
	"onebeat/tools/config"
	"onebeat/xdp"
)

// doctorOptions are what a check-up looks at.
type doctorOptions struct {
	configPath    string
	interfaces    []string
	cores         []int
	queue         int
	jitter        time.Duration
	apply, revert bool
	asJSON        bool
	noProbe       bool
	statePath     string
}

// doctorReport is what it found and did.
type doctorReport struct {
	Findings []pin.Finding `json:"findings"`
	Jitter   []pin.Jitter  `json:"jitter,omitempty"`
	Applied  []pin.Outcome `json:"applied,omitempty"`
	Reverted []pin.Outcome `json:"reverted,omitempty"`
	State    string        `json:"state,omitempty"` // where what was before is kept
}

func newDoctor() *cobra.Command {
	var o doctorOptions
	c := &cobra.Command{
		Use: "doctor", Short: "Check this host for microseconds, and say what to do", Args: cobra.NoArgs,
		Long: "doctor looks at cores, clock, memory, kernel and the NICs it is given, measures how long the cores\n" +
			"are taken from a spinning thread, and says of each finding why it matters and what helps. It tries\n" +
			"native XDP and zero-copy sockets on the interfaces, which interrupts the link of some NICs for a\n" +
			"moment. --apply makes the changes that can be undone without a reboot, --revert undoes them; what\n" +
			"was before is kept in a file, written before anything is changed. The exit status is 1 if there is\n" +
			"a problem.",
		RunE: func(c *cobra.Command, _ []string) error {
			if err := pin.Reexec(); err != nil { // as a node would run
				return err
			}
			r, err := o.run()
			if err != nil {
				return err
			}
			if o.asJSON {
				enc := json.NewEncoder(c.OutOrStdout())
				enc.SetIndent("", "  ")
				err = enc.Encode(r)
			} else {
				r.write(c.OutOrStdout())
			}
			if err == nil && (pin.Worst(r.Findings) == pin.Problem || r.failed()) {
				return errSilent
			}
			return err
		},
	}
	f := c.Flags()
	f.StringVar(&o.configPath, "config", "", "a node's file: its cores and interfaces are looked at")
	f.StringArrayVar(&o.interfaces, "interface", nil, "NIC to look at (again for each); no other is touched")
	f.IntSliceVar(&o.cores, "cores", nil, "cores of engine loops, like 2,3")
	f.IntVar(&o.queue, "queue", 0, "queue that a zero-copy socket is tried on")
	f.BoolVar(&o.noProbe, "no-probe", false, "do not try native XDP and zero-copy")
	f.DurationVar(&o.jitter, "jitter", 5*time.Second, "how long to measure the cores' gaps; 0: do not. Without --cores all are measured")
	f.BoolVar(&o.apply, "apply", false, "make the changes that can be undone")
	f.BoolVar(&o.revert, "revert", false, "undo what --apply did")
	f.StringVar(&o.statePath, "state", pin.DefaultState, "where --apply keeps what was before")
	f.BoolVar(&o.asJSON, "json", false, "print JSON")
	c.MarkFlagsMutuallyExclusive("apply", "revert")
	return c
}

func (o *doctorOptions) run() (*doctorReport, error) {
	host, r := pin.Host{}, &doctorReport{}
	if o.revert {
		var err error
		r.Reverted, err = host.Revert(o.statePath)
		return r, err
	}
	plan, err := o.plan()
	if err != nil {
		return nil, err
	}
	r.Findings = host.CheckUp(*plan)
	if o.jitter > 0 {
		cores := plan.Cores
		if len(cores) == 0 {
			if cores, err = pin.AllowedCores(); err != nil {
				return nil, err
			}
		}
		if r.Jitter, err = host.MeasureJitter(cores, o.jitter); err != nil {
			return nil, err
		}
		for i := range r.Jitter {
			r.Findings = append(r.Findings, r.Jitter[i].Finding())
		}
	}
	if !o.apply {
		return r, nil
	}
	var changes []pin.Change
	for i := range r.Findings {
		changes = append(changes, r.Findings[i].Changes...)
	}
	if len(changes) > 0 {
		r.State = o.statePath
		r.Applied, err = host.Apply(o.statePath, changes)
	}
	return r, err
}

// plan is what the host is meant to run: by the flags, and by a node's file.
func (o *doctorOptions) plan() (*pin.Plan, error) {
	p := &pin.Plan{Cores: o.cores, Interfaces: o.interfaces, LockMemory: true, XDP: map[string]pin.XDPSupport{}}
	if o.configPath != "" {
		cfg, err := config.Load(o.configPath)
		if err != nil {
			return nil, err
		}
		if cfg.Node.Transport == config.TransportXDP {
			p.Interfaces = append(p.Interfaces, cfg.Order.Interface)
			for i := range cfg.Links {
				p.Interfaces = append(p.Interfaces, cfg.Links[i].Interface)
			}
		}
		p.Cores = append(p.Cores, loopCores(cfg)...)
	}
	slices.Sort(p.Cores)
	p.Cores = slices.Compact(p.Cores)
	slices.Sort(p.Interfaces)
	p.Interfaces = slices.Compact(p.Interfaces)
	for _, name := range p.Interfaces {
		if err := o.look(p, name); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// look asks an interface what it is, and tries what it can.
func (o *doctorOptions) look(p *pin.Plan, name string) error {
	if o.noProbe {
		i, err := xdp.Inspect(name)
		p.XDP[name] = pin.XDPSupport{Driver: i.Driver, Native: i.Native, ZeroCopy: i.ZeroCopy, Why: "by the driver's word, not tried"}
		return err
	}
	if err := needRoot("doctor --interface"); err != nil {
		return err
	}
	t, err := xdp.Try(name, o.queue)
	if err != nil {
		return err
	}
	s := pin.XDPSupport{Driver: t.Interface.Driver, Native: t.Native, ZeroCopy: t.ZeroCopy}
	if t.Why != nil {
		s.Why = strings.ReplaceAll(t.Why.Error(), "\n", "; ")
	}
	p.XDP[name] = s
	return nil
}

func (r *doctorReport) failed() bool {
	for _, o := range slices.Concat(r.Applied, r.Reverted) {
		if o.Why != "" {
			return true
		}
	}
	return false
}

func (r *doctorReport) write(w io.Writer) {
	for i := range r.Findings {
		f := &r.Findings[i]
		fmt.Fprintf(w, "%-8s %s: %s\n", f.Severity, f.Subject, f.What)
		if f.Why != "" {
			fmt.Fprintf(w, "         why: %s\n", f.Why)
		}
		if f.Remedy != "" {
			fmt.Fprintf(w, "         do:  %s\n", f.Remedy)
		}
		if len(f.Changes) > 0 && r.Applied == nil {
			fmt.Fprintf(w, "         --apply does it (%d changes)\n", len(f.Changes))
		}
	}
	for i := range r.Jitter {
		writeJitter(w, &r.Jitter[i])
	}
	writeOutcomes(w, "applied", r.Applied)
	if len(r.Applied) > 0 {
		fmt.Fprintf(w, "what was before is in %s: onebeat doctor --revert\n", r.State)
	}
	writeOutcomes(w, "reverted", r.Reverted)
}

func writeOutcomes(w io.Writer, what string, all []pin.Outcome) {
	for i := range all {
		o := &all[i]
		switch {
		case o.Done:
			fmt.Fprintf(w, "%-8s %s\n", what, o.String())
		case o.Why == "":
			fmt.Fprintf(w, "%-8s %s was so already\n", what, o.String())
		default:
			fmt.Fprintf(w, "NOT %s %s: %s\n", what, o.String(), o.Why)
		}
	}
}

// writeJitter draws a core's gaps.
func writeJitter(w io.Writer, j *pin.Jitter) {
	fmt.Fprintf(w, "\ncore %d: gaps in %v, %d looks at the clock\n", j.Core, time.Duration(j.SpanNs).Round(time.Millisecond), j.Looks)
	most := uint64(1)
	for _, b := range j.Bars[1:] {
		most = max(most, b.Count)
	}
	from := time.Duration(0)
	for i, b := range j.Bars {
		to := time.Duration(b.ToNs)
		label := fmt.Sprintf("%v - %v", from, to)
		if b.ToNs == 0 {
			label = fmt.Sprintf("%v and more", from)
		}
		bar := ""
		if i > 0 && b.Count > 0 {
			bar = strings.Repeat("#", int(1+b.Count*39/most))
		}
		if b.Count > 0 || i == 0 {
			fmt.Fprintf(w, "  %16s %10d  %s\n", label, b.Count, bar)
		}
		from = to
	}
	for i, g := range j.Longest[:min(3, len(j.Longest))] {
		if i == 0 {
			fmt.Fprint(w, "  longest: ")
		} else {
			fmt.Fprint(w, ", ")
		}
		fmt.Fprintf(w, "%v at %v", time.Duration(g.LengthNs), time.Duration(g.AtNs).Round(time.Millisecond))
	}
	if len(j.Longest) > 0 {
		fmt.Fprintln(w)
	}
}

// loopCores are the cores that a node's loops are pinned to.
func loopCores(cfg *config.Config) []int {
	var cores []int
	for i := range cfg.Lanes {
		if core := cfg.ThreadCore(&cfg.Lanes[i]); core != pin.NoCore {
			cores = append(cores, core)
		}
	}
	return cores
}
