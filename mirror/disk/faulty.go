package disk

import (
	"fmt"
	"sync"
)

// Op is a call of a filesystem.
type Op uint8

// Calls.
const (
	OpOpen Op = iota
	OpCreate
	OpRead
	OpWrite
	OpTruncate
	OpAllocate
	OpDatasync
	OpRename
	OpRemove
	OpList
	OpMakeDir
	OpSyncDir
	OpSize
	opCount
)

var opNames = [opCount]string{"open", "create", "read", "write", "truncate", "allocate", "datasync", "rename",
	"remove", "list", "mkdir", "syncdir", "size"}

func (o Op) String() string { return opNames[o] }

// Fault is what becomes of one call. The zero Fault lets it through.
type Fault struct {
	Err error
	// Bytes of a write are done before it fails; a write that fails without
	// an error is short.
	Bytes int
	Short bool
}

// Call is one call of a Faulty filesystem.
type Call struct {
	N     int // from 0, over all calls
	Op    Op
	Path  string
	Bytes int
}

// Faulty passes calls on to a filesystem unless Rule says otherwise. It is safe
// for use by several goroutines.
type Faulty struct {
	FS FS
	// Rule decides about a call; nil lets all through.
	Rule func(Call) Fault

	mu sync.Mutex
	n  int
}

// Calls returns how many calls there were.
func (f *Faulty) Calls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

// SetRule changes the rule.
func (f *Faulty) SetRule(rule func(Call) Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.Rule = rule
}

func (f *Faulty) ask(op Op, path string, bytes int) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := Call{N: f.n, Op: op, Path: path, Bytes: bytes}
	f.n++
	if f.Rule == nil {
		return Fault{}
	}
	fault := f.Rule(c)
	if fault.Err != nil {
		fault.Err = fmt.Errorf("%v %s: %w", op, path, fault.Err)
	}
	return fault
}

type faultyFile struct {
	File
	fs   *Faulty
	path string
}

// Open implements FS.
func (f *Faulty) Open(path string, mode Mode, direct bool) (File, error) {
	op := OpOpen
	if mode == Create {
		op = OpCreate
	}
	if fault := f.ask(op, path, 0); fault.Err != nil {
		return nil, fault.Err
	}
	file, err := f.FS.Open(path, mode, direct)
	if err != nil {
		return nil, err
	}
	return &faultyFile{file, f, path}, nil
}

// Rename implements FS.
func (f *Faulty) Rename(from, to string) error {
	if fault := f.ask(OpRename, from, 0); fault.Err != nil {
		return fault.Err
	}
	return f.FS.Rename(from, to)
}

// Remove implements FS.
func (f *Faulty) Remove(path string) error {
	if fault := f.ask(OpRemove, path, 0); fault.Err != nil {
		return fault.Err
	}
	return f.FS.Remove(path)
}

// List implements FS.
func (f *Faulty) List(dir string) ([]string, error) {
	if fault := f.ask(OpList, dir, 0); fault.Err != nil {
		return nil, fault.Err
	}
	return f.FS.List(dir)
}

// MakeDir implements FS.
func (f *Faulty) MakeDir(dir string) error {
	if fault := f.ask(OpMakeDir, dir, 0); fault.Err != nil {
		return fault.Err
	}
	return f.FS.MakeDir(dir)
}

// SyncDir implements FS.
func (f *Faulty) SyncDir(dir string) error {
	if fault := f.ask(OpSyncDir, dir, 0); fault.Err != nil {
		return fault.Err
	}
	return f.FS.SyncDir(dir)
}

// Size implements FS.
func (f *Faulty) Size(path string) (int64, error) {
	if fault := f.ask(OpSize, path, 0); fault.Err != nil {
		return 0, fault.Err
	}
	return f.FS.Size(path)
}

func (f *faultyFile) ReadAt(b []byte, at int64) (int, error) {
	if fault := f.fs.ask(OpRead, f.path, len(b)); fault.Err != nil {
		return 0, fault.Err
	}
	return f.File.ReadAt(b, at)
}

func (f *faultyFile) WriteAt(b []byte, at int64) (int, error) {
	fault := f.fs.ask(OpWrite, f.path, len(b))
	if fault.Err == nil && !fault.Short {
		return f.File.WriteAt(b, at)
	}
	n := min(fault.Bytes, len(b))
	if n > 0 {
		if done, err := f.File.WriteAt(b[:n], at); err != nil {
			return done, err
		}
	}
	return n, fault.Err
}

func (f *faultyFile) Truncate(sizeBytes int64) error {
	if fault := f.fs.ask(OpTruncate, f.path, 0); fault.Err != nil {
		return fault.Err
	}
	return f.File.Truncate(sizeBytes)
}

func (f *faultyFile) Allocate(sizeBytes int64) error {
	if fault := f.fs.ask(OpAllocate, f.path, 0); fault.Err != nil {
		return fault.Err
	}
	return f.File.Allocate(sizeBytes)
}

func (f *faultyFile) Datasync() error {
	if fault := f.fs.ask(OpDatasync, f.path, 0); fault.Err != nil {
		return fault.Err
	}
	return f.File.Datasync()
}
