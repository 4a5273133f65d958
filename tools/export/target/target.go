package target

import (
	"context"
	"errors"

	"onebeat/engine/readmodel"
	"onebeat/mirror/archive"
)

// Lane is whose read model is kept.
type Lane struct {
	ID       int
	App      string
	Node     string           // whose log is read
	Identity archive.Identity // of the lane's life
	Sessions []Session        // by index
	Symbols  []Symbol
}

// Session is a client's name for people.
type Session struct{ ID, Name string }

// Symbol is an instrument's name for people.
type Symbol struct {
	ID   uint32
	Name string
}

// Mark says how far a read model is.
type Mark struct {
	Position uint64 // behind the last record it holds; 0: none
	Last     uint64 // where that record begins
	Epoch    uint32 // that record's
	TimeNs   int64
	Records  uint64
	Digest   uint64 // of the lane's state behind it: another log's is another one
}

// Target is one read model of one lane. It belongs to one goroutine. An error
// that wraps none of the following may go away by itself: ask again later.
type Target interface {
	// Open connects, makes or migrates what is not there, and returns how far the
	// read model is. One of another life of the lane is ErrForeign.
	Open(ctx context.Context, l *Lane) (Mark, error)
	// Positions returns all of them, as they stand at the mark.
	Positions(ctx context.Context) ([]readmodel.Position, error)
	// Store takes a batch and moves the mark, both or nothing. It may be asked
	// again after an error, also after one that left open which of them it was:
	// what is stored already is not stored twice. A mark that is neither is
	// ErrMoved.
	Store(ctx context.Context, from, to Mark, b *readmodel.Batch) error
	// Reset removes the read model, whosever it is.
	Reset(ctx context.Context) error
	Close()
}

// Errors that stay until somebody does something, but for ErrMoved, which goes
// away by starting from what the target has.
var (
	// ErrForeign: the target holds another lane's read model, or another life's.
	ErrForeign = errors.New("the target holds another read model")
	// ErrMoved: the target's mark is not where it was left.
	ErrMoved = errors.New("the target's mark was moved")
	// ErrSchema: the target was made by a newer program.
	ErrSchema = errors.New("the target's schema is newer than this program")
	// ErrReset: a reset was begun and did not end.
	ErrReset = errors.New("a reset of the target was interrupted")
	// ErrRows: rows are missing or there already. Somebody else writes there, or
	// the mark is not theirs.
	ErrRows = errors.New("the target's rows are not those of its mark")
)

// Lasting reports whether asking again cannot help.
func Lasting(err error) bool {
	return errors.Is(err, ErrForeign) || errors.Is(err, ErrSchema) || errors.Is(err, ErrReset) || errors.Is(err, ErrRows)
}
