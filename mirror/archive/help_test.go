package archive

import (
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
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

// memoryDir is a directory in memory: the crash points, which make thousands of
// files, need not wait for a disk. TestKilled and the benchmarks use a real one.
func memoryDir(t testing.TB) string {
	t.Helper()
	const parent, need = "/dev/shm", 32 << 20
	var s syscall.Statfs_t
	if err := syscall.Statfs(parent, &s); err != nil || s.Bavail*uint64(s.Bsize) < need {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(parent, "onebeat-archive-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
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
