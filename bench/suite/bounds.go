package suite

import (
	"fmt"

	"onebeat/bench/fixload"
	"onebeat/bench/shapes"
	"onebeat/tools/config"
)

// describe says in words what a shape is.
func describe(s shapes.Setting) string {
	switch s.Shape {
	case shapes.CEcho:
		return "AF_XDP echo in C: the floor"
	case shapes.Echo:
		return "onebeat's AF_XDP echo"
	case shapes.Asavie:
		return "AF_XDP echo on asavie/xdp's per-packet path"
	case shapes.CUDP:
		return "echo on a kernel UDP socket in C"
	case shapes.GoUDP:
		return "echo on a kernel UDP socket in Go"
	}
	text := map[string]string{
		shapes.Order:    "one node",
		shapes.Mirrored: "answered once the standby's kernel holds it",
		shapes.Applied:  "answered once the standby's engine has applied it",
		shapes.Archived: "answered once the standby has it on disk, a sync for each write",
		shapes.UDP:      "the same engine and mirror over kernel UDP sockets",
	}[s.Shape]
	if s.App == config.AppGateway {
		text += "; all risk checks, a copy to the venue"
	}
	if s.ToVenue {
		text += "; wire to wire, client in to venue out"
	}
	switch s.Release {
	case config.ReleaseUser:
		text += "; released by user space"
	case config.ReleaseChain:
		text += "; the standby's kernel answers"
	}
	if s.Shape != shapes.Order && !s.Auth {
		text += "; frames without authentication"
	}
	if s.Lanes > 1 {
		text += fmt.Sprintf("; %d lanes on one thread, an order to each in turn", s.Lanes)
	}
	if s.Batch > 1 {
		text += fmt.Sprintf("; %d orders in a datagram, to the last answer", s.Batch)
	}
	return text
}

// fixEntries are what the acceptors of FIX are called here, and what they are.
var fixEntries = map[string]struct{ name, what string }{
	fixload.Ours:        {fixMirrored, "a FIX 4.4 order over TCP to its report; mirrored, by processes that sleep when idle"},
	fixload.Plain:       {fixPlain, "the same to plain quickfixgo with its file store, in memory"},
	fixload.PlainNoSync: {fixPlain + " no sync", "the same without a sync for each message"},
}

const (
	fixMirrored = "fix mirrored book"
	fixPlain    = "fix quickfixgo"
)

// bound is a promise: the median over the rounds of a percentile of one entry in
// the other's.
type bound struct {
	of, over   string
	percentile string
	most       float64
}

func bounds() []bound {
	name := func(shape, app string) string { s := at(shape, app); return s.Name() }
	order, mirrored := name(shapes.Order, config.AppBook), name(shapes.Mirrored, config.AppBook)
	gateway, mirroredGateway := name(shapes.Order, config.AppGateway), name(shapes.Mirrored, config.AppGateway)
	chain, chainOpen, chainGateway := chained(config.AppBook, true), chained(config.AppBook, false), chained(config.AppGateway, true)
	return []bound{
		{shapes.Echo, shapes.CEcho, "p50", 1.05}, {shapes.Echo, shapes.CEcho, "p99", 1.3},
		{order, shapes.Echo, "p50", 1.12}, {gateway, shapes.Echo, "p50", 1.35},
		{mirrored, order, "p50", 1.12}, {mirrored, order, "p99", 1.4},
		{mirrored + " noauth", order, "p50", 1.06}, {mirrored + " noauth", order, "p99", 1.3},
		{chain.Name(), order, "p50", 1.12}, {chain.Name(), order, "p99", 1.4},
		{chainOpen.Name(), order, "p50", 1.06}, {chainOpen.Name(), order, "p99", 1.3},
		{mirroredGateway, gateway, "p50", 1.2}, {chainGateway.Name(), gateway, "p50", 1.2},
		{mirrored, "redis", "p50", 1.0 / 12}, {mirrored, "redis", "p99", 1.0 / 50},
		{mirrored, "etcd", "p50", 1.0 / 30}, {mirrored, "postgresql", "p50", 1.0 / 30},
		{mirrored, name(shapes.UDP, config.AppBook), "p50", 1.0 / 3},
		{fixMirrored, fixPlain, "p50", 1}, {fixMirrored, fixPlain, "p99", 1},
	}
}

// promisedPerSecond is what one mirrored lane with 32 orders in a datagram is to
// keep up with on two cores.
const promisedPerSecond = 1_000_000

// judge works out the ratios and what holds.
func (r *Report) judge() {
	percentiles := map[string]func(*shapes.Result) int64{"p50": shapes.P50, "p99": shapes.P99}
	r.Ratios = nil
	for _, b := range bounds() {
		of, over := r.entry(b.of), r.entry(b.over)
		if of == nil || over == nil {
			continue
		}
		ratio := shapes.MedianRatio(of.rounds, over.rounds, percentiles[b.percentile])
		r.Ratios = append(r.Ratios, Ratio{Of: b.of, Over: b.over, Percentile: b.percentile, Ratio: ratio, Most: b.most, Holds: ratio <= b.most})
	}
	for i := range r.Ramp.Steps {
		if s := &r.Ramp.Steps[i]; s.Keeps() {
			r.Ramp.KneePerSecond = s.RatePerSecond
		}
	}
	for i := range r.Entries {
		e := &r.Entries[i]
		if e.own() {
			r.Allocs += e.Result.Allocs
			r.GCCycles += e.Result.GCCycles
		}
		r.Lost += e.Result.Lost
	}
	if r.Long != nil {
		r.Allocs += r.Long.Result.Allocs
		r.GCCycles += r.Long.Result.GCCycles
	}
}

// Broken counts the promises that did not hold.
func (r *Report) Broken() int {
	n := 0
	for _, q := range r.Ratios {
		if !q.Holds {
			n++
		}
	}
	if len(r.Ramp.Steps) > 0 && r.Ramp.KneePerSecond < promisedPerSecond {
		n++
	}
	if r.Allocs != 0 || r.GCCycles != 0 {
		n++
	}
	return n
}
