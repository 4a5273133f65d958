package archive

import (
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"onebeat/engine/app"
	"onebeat/mirror/ring"
)

var errFull = syscall.ENOSPC

func decodeAt(b []byte, position uint64) (app.Record, ring.State) {
	var rec app.Record
	_, state := ring.Decode(b[:min(len(b), ring.MaxRecordBytes)], position, &rec)
	return rec, state
}

// lineWriter keeps what a process says.
type lineWriter struct {
	has atomic.Bool
	mu  sync.Mutex
	b   []byte
}

func (l *lineWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b = append(l.b, b...)
	l.has.Store(true)
	return len(b), nil
}

func (l *lineWriter) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.b)
}

// newBenchClock is the real one: syncs at an interval are to happen.
func newBenchClock() func() int64 {
	began := time.Now()
	return func() int64 { return int64(time.Since(began)) }
}
