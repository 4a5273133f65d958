package export

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"onebeat/engine/app"
	"onebeat/engine/readmodel"
	"onebeat/tools/config"
	"onebeat/tools/export/target"
	"onebeat/tools/node"
)

// ErrDiverged means that a rebuilt state is not the one that the log was made
// with.
var ErrDiverged = errors.New("the rebuilt state differs from the digest in the log")

// How long a feed waits: for the log to grow, and before it tries again.
const (
	idleWait    = 2 * time.Millisecond
	retryFirst  = 100 * time.Millisecond
	retryMost   = 10 * time.Second
	tellAgain   = time.Minute
	batchesOpen = 3 // being filled, waiting, being stored
)

// feed brings one lane's log to one target.
type feed struct {
	lane   *config.Lane
	names  target.Lane // its identity is that of the log
	place  place       // of the log
	kind   string      // of the target
	target target.Target
	batch  int  // records at most
	once   bool // end where the log ends
	log    *slog.Logger
	board  board
}

// run feeds until ctx ends, or something stays wrong.
func (f *feed) run(ctx context.Context) error {
	defer f.target.Close()
	wait := retryFirst
	for {
		before := f.board.stored()
		err := f.attempt(ctx)
		switch {
		case ctx.Err() != nil:
			f.board.state(stateStopped)
			return nil
		case err == nil:
			f.board.state(stateDone)
			return nil
		case target.Lasting(err) || errors.Is(err, errLog) || errors.Is(err, ErrDiverged):
			f.board.failed(err)
			f.board.state(stateRefused)
			f.log.Error("the read model is not kept any further", "error", err)
			return fmt.Errorf("lane %d, %s: %w", f.lane.ID, f.kind, err)
		case f.once:
			return fmt.Errorf("lane %d, %s: %w", f.lane.ID, f.kind, err)
		}
		if f.board.stored() != before {
			wait = retryFirst
		}
		f.complain("begins again", err)
		f.pause(ctx, wait)
		wait = min(2*wait, retryMost)
	}
}

func (f *feed) pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// complain says loudly what failed; the same again only now and then.
func (f *feed) complain(what string, err error) {
	if f.board.failed(err) {
		f.log.Error("the read model falls behind: "+what, "error", err)
	}
}

// progress is one attempt's: from a beginning of the log to where something fails.
type progress struct {
	*feed
	source  *lanelog
	machine *node.Replay
	model   *readmodel.Model
	mark    target.Mark // of what was read
}

// attempt brings the state to where the target is, and goes on from there.
func (f *feed) attempt(ctx context.Context) (err error) {
	p := &progress{feed: f}
	if p.source, err = f.place.open(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.source.close()) }()
	f.names.Identity = p.source.identity
	f.board.state(stateConnecting)
	mark, err := f.target.Open(ctx, &f.names)
	if err != nil {
		return err
	}
	f.board.mark(mark)
	if err := p.begin(mark); err != nil {
		return err
	}
	if err := p.rebuild(ctx, mark); err != nil {
		return err
	}
	positions, err := f.target.Positions(ctx)
	if err != nil {
		return err
	}
	return p.follow(ctx, positions)
}

// begin makes a machine of the newest saved state that is not beyond the mark;
// without one, of the log's beginning.
func (p *progress) begin(mark target.Mark) error {
	for _, f := range p.place.states(p.source.identity, mark.Position) {
		if f.Header.Position < p.source.begin {
			break
		}
		if err := p.fresh(); err != nil {
			return err
		}
		if err := p.machine.Load(&f); err != nil {
			p.log.Warn("a saved state is passed over", "file", f.Path, "error", err)
			continue
		}
		return p.source.seek(f.Header.Position, f.Header.Epoch)
	}
	if begin := p.source.begin; begin != 0 {
		return fmt.Errorf("%w: it is there from %d on only, the read model at %d, and no saved state bridges what is missing: keep the log until it is exported (archive.retain_size, retain_age), or name a complete copy with export.archive",
			errLog, begin, mark.Position)
	}
	return p.fresh()
}

// fresh makes a machine without records.
func (p *progress) fresh() (err error) {
	p.machine, err = node.NewReplay(p.lane, func(a app.App) (app.App, error) {
		var err error
		p.model, err = readmodel.Watch(a)
		return p.model, err
	})
	return err
}

// rebuild applies what the target has, so that the state is that of its mark.
func (p *progress) rebuild(ctx context.Context, mark target.Mark) error {
	if mark.Position == 0 {
		return nil
	}
	p.board.state(stateReplaying)
	rec := app.Record{Position: mark.Last, TimeNs: mark.TimeNs} // of a state saved there
	for p.source.end < mark.Position {
		more, err := p.source.next(&rec)
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case !more:
			// The node's archive is younger than another one that was read before.
			p.board.state(stateWaiting)
			if p.once {
				return fmt.Errorf("%w: it ends at %d, the read model at %d", errLog, p.source.end, mark.Position)
			}
			p.pause(ctx, 50*idleWait)
			continue
		}
		p.machine.Apply(&rec)
		p.board.read(p.source.end)
	}
	last := target.Mark{Position: p.source.end, Last: rec.Position, Epoch: p.source.epoch, TimeNs: rec.TimeNs, Records: mark.Records, Digest: p.machine.Digest()}
	if last != mark {
		return fmt.Errorf("%w: the read model holds what is not in it: its last record began at %d in epoch %d, with digest %016x behind it; here one begins at %d in epoch %d, digest %016x. The log was cut by a failover (policy none), the node's configuration is another one, or the program: begin anew with --reset",
			errLog, mark.Last, mark.Epoch, mark.Digest, last.Last, last.Epoch, last.Digest)
	}
	p.mark = mark
	return nil
}

// work is a batch and where it leads from and to.
type work struct {
	from, to target.Mark
	batch    *readmodel.Batch
}

// follow reads on and stores, each at its own pace.
func (p *progress) follow(ctx context.Context, positions []readmodel.Position) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	free, full := make(chan *readmodel.Batch, batchesOpen), make(chan work)
	for range batchesOpen {
		free <- &readmodel.Batch{}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for w := range full {
			if err := p.store(ctx, w); err != nil {
				stop(err)
				break
			}
			free <- w.batch
		}
	}()
	err := p.read(ctx, positions, free, full)
	close(full)
	<-done
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

// read fills batches. One that nobody is busy before goes at once; while one is
// being stored, the next grows.
func (p *progress) read(ctx context.Context, positions []readmodel.Position, free chan *readmodel.Batch, full chan<- work) error {
	from, batch := p.mark, <-free
	p.model.Start(positions, batch)
	var rec app.Record
	for ctx.Err() == nil {
		more, err := p.source.next(&rec)
		if err != nil {
			return err
		}
		if more {
			p.take(&rec)
		}
		if batch.Records == 0 {
			if p.board.read(p.source.end); p.once {
				return nil
			}
			p.board.current(p.source.r.Waits())
			p.pause(ctx, idleWait)
			continue
		}
		out := full
		if more && batch.Records < p.batch {
			if batch.Records%256 != 0 {
				continue
			}
			out = nil
		}
		if p.machine.Diverged() {
			return fmt.Errorf("%w before %d: the node's configuration is not the one that the log was made with, or the program is another one; what was stored since the last digest is not to be trusted: begin anew with --reset", ErrDiverged, p.source.end)
		}
		p.mark.Digest = p.machine.Digest()
		w := work{from, p.mark, batch}
		if out == nil {
			select {
			case full <- w:
			default:
				continue // somebody is being stored: grow
			}
		} else {
			select {
			case out <- w:
			case <-ctx.Done():
				return nil
			}
		}
		select {
		case batch = <-free:
		case <-ctx.Done():
			return nil
		}
		batch.Reset()
		p.model.Next(batch)
		from = p.mark
	}
	return nil
}

// take applies one record.
func (p *progress) take(rec *app.Record) {
	p.model.Begin(rec)
	p.machine.Apply(rec)
	p.model.End()
	p.mark.Position, p.mark.Last, p.mark.Epoch, p.mark.TimeNs = p.source.end, rec.Position, rec.Epoch, rec.TimeNs
	p.mark.Records++
	p.board.read(p.source.end)
}

// store brings one batch to the target, however long that takes.
func (p *progress) store(ctx context.Context, w work) error {
	for wait := retryFirst; ; wait = min(2*wait, retryMost) {
		began := time.Now()
		err := p.target.Store(ctx, w.from, w.to, w.batch)
		if err == nil {
			p.board.done(&w, time.Since(began))
			return nil
		}
		if ctx.Err() != nil || p.once || target.Lasting(err) || errors.Is(err, target.ErrMoved) {
			return err
		}
		p.complain("stores again", err)
		p.pause(ctx, wait)
	}
}
