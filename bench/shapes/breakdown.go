package shapes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"

	"onebeat/engine/mark"
	"onebeat/pin"
)

// ErrNoMarks says that this program cannot tell where time goes.
var ErrNoMarks = errors.New("this program stores no marks: build it with `go build -tags marks ./tools/onebeat` (make breakdown), on amd64")

// Part is what an order spends between two places.
type Part struct {
	Name  string `json:"name"`
	Count int64  `json:"count"`
	P50Ns int64  `json:"p50_ns"`
	P90Ns int64  `json:"p90_ns"`
	P99Ns int64  `json:"p99_ns"`
}

// Breakdown says where the time of one order goes.
type Breakdown struct {
	Result Result `json:"result"`
	Parts  []Part `json:"parts"`
	// MarkNs is what storing one mark costs.
	MarkNs float64 `json:"mark_ns"`
	// TicksPerUs is the time stamp counter's rate.
	TicksPerUs float64 `json:"ticks_per_us"`
}

// parts are the ways between places.
var parts = []struct {
	name     string
	from, to mark.Stage
}{
	{"client's send until the loop has it: kick, NAPI, steer, ring", mark.ClientKick, mark.Received},
	{"(the client's system call)", mark.ClientKick, mark.ClientKicked},
	{"decode: headers, session, messages", mark.Received, mark.Decoded},
	{"admit: the session takes the message", mark.Decoded, mark.Admitted},
	{"append: the record in the ring", mark.Admitted, mark.Appended},
	{"apply: risk, application, outputs", mark.Appended, mark.Applied},
	{"mirror frame: copy, hash, MAC", mark.Applied, mark.Built},
	{"mirror kick until the client has the answer", mark.Built, mark.Answered},
	{"(the mirror kick's system call)", mark.Built, mark.Mirrored},
	{"release by user space until the client has the answer", mark.Applied, mark.Answered},
	{"all of it", mark.ClientKick, mark.Answered},
}

// Breakdown measures a setting with marks, one order in flight.
func (b *Bench) Breakdown(ctx context.Context, s Setting) (*Breakdown, error) {
	if !mark.On {
		return nil, ErrNoMarks
	}
	if err := s.Check(); err != nil {
		return nil, err
	}
	if s.echo() || s.sockets() || s.Batch > 1 || s.ToVenue {
		return nil, fmt.Errorf("%s: a breakdown is of order or mirrored, one order in a datagram", s.Name())
	}
	b.options.Progress(s.Name() + ", with marks")
	unlock, err := pin.LockThread(b.options.Layout.Client)
	if err != nil {
		return nil, err
	}
	defer unlock()
	c, err := b.open(ctx, s)
	if err != nil {
		return nil, err
	}
	d, err := b.breakdown(ctx, c)
	return d, errors.Join(err, c.close())
}

func (b *Bench) breakdown(ctx context.Context, c *scene) (*Breakdown, error) {
	d := &Breakdown{Result: b.result(c), MarkNs: markNs(), TicksPerUs: ticksPerUs(c)}
	h := NewHistogram()
	spent := make([]*hdr.Histogram, len(parts))
	for i := range spent {
		spent[i] = NewHistogram()
	}
	for i := range b.options.Warmup + b.options.Count {
		if i == b.options.Warmup {
			h.Reset()
			for _, p := range spent {
				p.Reset()
			}
		}
		if !c.shooter.shoot(h) {
			return d, ErrNoAnswer
		}
		ticks := mark.Read()
		for k, p := range parts {
			from, to := ticks[p.from], ticks[p.to]
			if from == 0 || to < from {
				continue // not passed, or still under way
			}
			if p.from == mark.Applied && p.to == mark.Answered && ticks[mark.Built] != 0 {
				continue // mirrored first
			}
			// The range ends far behind any order: there is no error to return.
			_ = spent[k].RecordValue(max(int64(float64(to-from)*1000/d.TicksPerUs), 1))
		}
		if i%runBatch == 0 && ctx.Err() != nil {
			return d, ctx.Err()
		}
	}
	d.Result.Fill(h)
	for k, p := range parts {
		if n := spent[k].TotalCount(); n > int64(b.options.Count)/2 {
			d.Parts = append(d.Parts, Part{p.name, n, spent[k].ValueAtQuantile(50), spent[k].ValueAtQuantile(90), spent[k].ValueAtQuantile(99)})
		}
	}
	return d, nil
}

// markNs measures a mark alone.
func markNs() float64 {
	const rounds = 100_000
	var tookNs int64
	for range rounds {
		mark.Read()
		began := time.Now()
		for s := range mark.Stages {
			mark.At(s)
		}
		tookNs += time.Since(began).Nanoseconds()
	}
	mark.Read()
	return float64(tookNs) / rounds / float64(mark.Stages)
}

// ticksPerUs compares the counter with the clock for a while.
func ticksPerUs(c *scene) float64 {
	const forNs = 50_000_000
	tick := func() uint64 {
		mark.At(mark.Received)
		return mark.Read()[mark.Received]
	}
	beganNs, from := c.clock.NowNs(), tick()
	for c.clock.NowNs()-beganNs < forNs {
	}
	endNs, to := c.clock.NowNs(), tick()
	return float64(to-from) * 1000 / float64(endNs-beganNs)
}

// WriteText prints the parts.
func (d *Breakdown) WriteText(w io.Writer) error {
	p := printer{w: w}
	p.line("%s, %s: p50 %.2f us with marks", d.Result.Name(), d.Result.Machine.CPU, float64(d.Result.P50Ns)/1e3)
	p.line("a mark costs %.0f ns, and an order passes ten; what is in brackets lies within other parts", d.MarkNs)
	p.line("%-64s %8s %8s %8s", "ns", "p50", "p90", "p99")
	for _, q := range d.Parts {
		p.line("%-64s %8d %8d %8d", q.Name, q.P50Ns, q.P90Ns, q.P99Ns)
	}
	return p.err
}
