package pin

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// errandLook is how often an errand's thread is looked after. On cores that leave
	// nothing it gets a piece done each time.
	errandLook = 8 * time.Millisecond
	// errandSmall is how many pieces are to be small after one that had to be helped.
	errandSmall = 64
	// errandWhole is how long what is left may stay as it is before the errand does not
	// wait for what others leave any more.
	errandWhole = time.Second
)

// Errand is long work of many pieces on a Background thread, like bringing a log to
// another host. It takes what others leave of the cores. Where threads spin on all of
// them, so that nothing is left, a piece is done as an equal of theirs each 8 ms; and
// work that grows faster than that is done as an equal's, or it would never end.
//
// It belongs to the goroutine that started it.
type Errand struct {
	thread *Background
	stop   chan struct{} // nil: it is not looked after
	ended  sync.WaitGroup
	calm   chan struct{} // the watch goes on: it is not urged any more
	helped atomic.Bool   // since the last piece began
	urged  atomic.Bool
	small  int // pieces left of errandSmall
	left   uint64
	since  time.Time // when left was noted
	late   bool      // it did not get less
}

// StartErrand binds the goroutine to its thread until End. Where nobody could look
// after it the thread stays as it is.
func StartErrand() *Errand {
	e := &Errand{thread: LockBackground()}
	if !e.thread.yields {
		return e
	}
	l, err := newLook(e.thread.tid)
	if err != nil {
		e.thread.Hurry(true)
		e.urged.Store(true)
		return e
	}
	e.stop, e.calm = make(chan struct{}), make(chan struct{}, 1)
	e.ended.Go(func() { e.watch(l) })
	return e
}

// End gives the thread back as it was.
func (e *Errand) End() {
	if e.stop != nil {
		close(e.stop)
		e.ended.Wait()
	}
	e.thread.Unlock()
}

// Piece says that another piece begins, and whether it should be a small one: who has
// its core waits until it is done.
func (e *Errand) Piece() (small bool) {
	switch {
	case e.helped.Swap(false):
		e.small = errandSmall
	case e.small > 0:
		e.small--
	}
	e.thread.Hurry(e.urged.Load() || e.late)
	e.thread.Offer()
	return e.small > 0
}

// Urge: somebody waits for it.
func (e *Errand) Urge(on bool) {
	if e.stop == nil || e.urged.Swap(on) == on || on {
		return
	}
	select {
	case e.calm <- struct{}{}:
	default:
	}
}

// Left says how much there is still to be done, at least once a piece.
func (e *Errand) Left(amount uint64) {
	now := time.Now()
	switch {
	case e.since.IsZero() || now.Sub(e.since) >= errandWhole:
		e.late = !e.since.IsZero() && amount >= e.left
		e.left, e.since = amount, now
	case amount == 0:
		e.late = false
	}
}

// watch helps a thread that waits for a core.
func (e *Errand) watch(l *look) {
	defer l.close()
	t := time.NewTicker(errandLook)
	defer t.Stop()
	before, _, _ := l.at()
	for {
		select {
		case <-e.stop:
			return
		case <-t.C:
		}
		if e.urged.Load() {
			// Who follows a log is urged for days.
			select {
			case <-e.stop:
				return
			case <-e.calm:
			}
		}
		ranNs, runnable, err := l.at()
		if err != nil || runnable && ranNs-before < int64(errandLook/8) {
			e.helped.Store(true)
			e.thread.Hurry(true) // until the next piece
		}
		before = ranNs
	}
}

// look tells of a thread of this process how long it ran and whether it wants to.
type look struct {
	stat, sched *os.File
	b           [512]byte
}

func newLook(tid int) (*look, error) {
	dir := fmt.Sprintf("/proc/self/task/%d/", tid)
	stat, err := os.Open(dir + "stat")
	if err != nil {
		return nil, err
	}
	sched, err := os.Open(dir + "schedstat")
	if err != nil {
		return nil, errors.Join(err, stat.Close())
	}
	l := &look{stat: stat, sched: sched}
	if _, _, err := l.at(); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *look) close() {
	_ = l.stat.Close() // only read
	_ = l.sched.Close()
}

// at reads schedstat's first field, and the state behind the name in stat
// (Documentation/filesystems/proc.rst).
func (l *look) at() (ranNs int64, runnable bool, err error) {
	n, err := l.stat.ReadAt(l.b[:], 0)
	state := bytes.LastIndexByte(l.b[:n], ')') + 2
	if n == 0 || state >= n {
		return 0, false, fmt.Errorf("%s: %w", l.stat.Name(), err)
	}
	runnable = l.b[state] == 'R'
	n, err = l.sched.ReadAt(l.b[:], 0)
	field, _, _ := bytes.Cut(l.b[:n], []byte(" "))
	if ranNs, err := strconv.ParseInt(string(field), 10, 64); err == nil {
		return ranNs, runnable, nil
	}
	return 0, false, fmt.Errorf("%s: %q: %w", l.sched.Name(), l.b[:n], err)
}
