package crowd

import (
	"fmt"
	"io"
)

// WriteText prints a result for people.
func (r *Result) WriteText(w io.Writer) (err error) {
	line := func(format string, args ...any) {
		if err == nil {
			_, err = fmt.Fprintf(w, format+"\n", args...)
		}
	}
	us := func(ns int64) float64 { return float64(ns) / 1e3 }
	m := &r.Machine
	line("%s, %d cores, Linux %s, %s; %d rounds; one in flight, us", m.CPU, m.Cores, m.Kernel, m.Go, r.Rounds)
	line("%-24s %9s %9s %9s %9s %9s %8s", r.Shape, "p50", "p90", "p99", "p99.9", "max", "count")
	for i := range r.Entries {
		e := &r.Entries[i]
		line("%-24s %9.1f %9.1f %9.1f %9.1f %9.1f %8d", e.Shape, us(e.P50Ns), us(e.P90Ns), us(e.P99Ns), us(e.P999Ns), us(e.MaxNs), e.Count)
	}
	for _, n := range r.Nodes {
		line("%d sessions configured: both nodes up in %.2f s; primary %d MiB, standby %d MiB; live ones established in %.1f ms",
			n.Sessions, float64(n.StartNs)/1e9, n.PrimaryResident>>20, n.StandbyResident>>20, float64(n.ConnectNs)/1e6)
	}
	f := &r.Failover
	line("SIGKILL of the primary under %d sessions: first answer after %.2f ms; the slowest session waited %.2f ms for its first", r.Live, float64(f.OutageNs)/1e6, float64(f.LongestNs)/1e6)
	line("  %d orders, %d acknowledged once, %d taken by the new primary; LOST %d, DOUBLED %d; %d sessions established anew, %d lack messages",
		f.Orders, f.Accepted, f.Taken, f.Lost, f.Doubled, f.Reestablished, f.Lacking)
	line("  us from when due: before p50 %.1f, p99 %.1f; after + 100 ms p50 %.1f, p99 %.1f", us(f.BeforeP50Ns), us(f.BeforeP99Ns), us(f.AfterP50Ns), us(f.AfterP99Ns))
	return err
}

// Sound reports whether every session went on and every order was done once.
func (r *Result) Sound() bool {
	f := &r.Failover
	return f.Accepted == f.Orders && f.Taken == uint64(f.Orders) && f.Lost+f.Doubled+f.Reestablished+f.Lacking == 0
}
