package etcd

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"onebeat/mirror/arbiter"
)

// Options of an arbiter.
type Options struct {
	Endpoints []string // URLs of the members
	Prefix    string   // of the pair's keys
	Lane      uint8
	Node      uint8
	Timeout   time.Duration // of one transaction
	TLS       *tls.Config   // nil: none
	Log       *slog.Logger  // of changes and failures; nil: none
}

// ask is a question of the loop to the worker.
type ask struct {
	id      uint64
	swap    bool
	request arbiter.Request
}

// reply is the worker's. One that failed says nothing about the register.
type reply struct {
	id     uint64
	failed bool
	answer arbiter.Answer
}

// Arbiter is the arbiter of one lane whose register is in etcd. Its calls are
// the loop's thread's, but State and Close.
type Arbiter struct {
	asks    mailbox[ask]
	replies mailbox[reply]
	wake    *os.File // eventfd
	wakeFD  int

	last    ask // the question that is waited for, while asking
	asking  bool
	askedNs int64
	board   arbiter.Board

	asked, answered, refused, failed, stray, full uint64

	cancel context.CancelFunc
	done   sync.WaitGroup
	worker worker
}

var _ arbiter.Remote = (*Arbiter)(nil)

// Open starts an arbiter whose connections are made in the calling thread's
// network namespace. That no member can be reached is no error: one may come
// later.
func Open(o Options) (*Arbiter, error) {
	if len(o.Endpoints) == 0 || o.Prefix == "" || o.Timeout <= 0 {
		return nil, fmt.Errorf("etcd: endpoints %v, prefix %q, timeout %v: all must be given", o.Endpoints, o.Prefix, o.Timeout)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	a := &Arbiter{wake: os.NewFile(uintptr(fd), "etcd-wake"), wakeFD: fd}
	if err := a.worker.open(&o); err != nil {
		return nil, errors.Join(err, a.wake.Close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel = cancel
	a.done.Go(func() { a.serve(ctx) })
	return a, nil
}

// Read implements arbiter.Arbiter.
func (a *Arbiter) Read(nowNs int64) { a.question(ask{}, nowNs) }

// Swap implements arbiter.Arbiter.
func (a *Arbiter) Swap(r arbiter.Request, nowNs int64) {
	a.question(ask{swap: true, request: r}, nowNs)
}

// question takes the place of what was asked before; the same again is the same
// question, until it has failed.
func (a *Arbiter) question(q ask, nowNs int64) {
	if a.asking && q.swap == a.last.swap && q.request == a.last.request {
		return
	}
	q.id = a.last.id + 1
	a.last, a.askedNs = q, nowNs
	if a.asking = a.asks.put(&q); !a.asking {
		a.full++ // the worker waits for etcd; who wants to know asks again
		return
	}
	a.asked++
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, _ = unix.Write(a.wakeFD, one[:]) // it fails only where 2^64 wakes are pending
}

// Poll implements arbiter.Arbiter: a load while there is nothing.
func (a *Arbiter) Poll(nowNs int64) (arbiter.Answer, bool) {
	var r reply
	for a.replies.take(&r) {
		switch {
		case !a.asking || r.id != a.last.id:
			a.stray++ // to something that is not asked any more
			continue
		case r.failed:
			a.failed++
			a.asking = false // to be asked again
			continue
		}
		a.asking = false
		a.answered++
		if !r.answer.Granted {
			a.refused++
		}
		a.board.Answered(&r.answer, nowNs, nowNs-a.askedNs)
		return r.answer, true
	}
	return arbiter.Answer{}, false
}

// State implements arbiter.Remote.
func (a *Arbiter) State() arbiter.State { return a.board.State() }

// Counters implements arbiter.Remote.
func (a *Arbiter) Counters(visit func(name string, count uint64)) {
	visit("arbiter_asked", a.asked)
	visit("arbiter_answered", a.answered)
	visit("arbiter_refused", a.refused)
	visit("arbiter_failed", a.failed)
	visit("arbiter_stray", a.stray)
	visit("arbiter_full", a.full)
}

// Close ends the worker. The loop must not use the arbiter any more.
func (a *Arbiter) Close() error {
	a.cancel()
	err := a.wake.Close()
	a.done.Wait()
	return errors.Join(err, a.worker.close())
}

// serve is the worker's goroutine: it answers the newest question.
func (a *Arbiter) serve(ctx context.Context) {
	var wakes [8]byte
	for {
		if _, err := a.wake.Read(wakes[:]); err != nil {
			return // closed
		}
		var q ask
		for ctx.Err() == nil && a.asks.take(&q) {
			for a.asks.take(&q) { // only the last one is still wanted
			}
			r := reply{id: q.id}
			var err error
			if r.answer, err = a.worker.answer(ctx, &q); err != nil {
				r.failed = true
			}
			a.replies.put(&r) // there is room: at most as many as were asked
		}
	}
}
