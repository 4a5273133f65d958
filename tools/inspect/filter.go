package inspect

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"onebeat/engine/app"
)

// Filter says which records are wanted; the zero Filter wants all.
type Filter struct {
	Sessions       []uint32
	Symbols        []uint32
	Types          []string
	SinceNs, ToNs  int64 // lane time; 0: no bound
	From, Position uint64
	HasTo          bool
}

// Match reports whether a record is wanted.
func (f *Filter) Match(rec *app.Record) bool {
	if rec.Position < f.From || f.SinceNs != 0 && rec.TimeNs < f.SinceNs || f.Past(rec) {
		return false
	}
	if len(f.Types) > 0 && !slices.Contains(f.Types, rec.Type.String()) {
		return false
	}
	if len(f.Sessions) == 0 && len(f.Symbols) == 0 {
		return true
	}
	l := LineOf(rec)
	if len(f.Sessions) > 0 && (l.Session == nil || !slices.Contains(f.Sessions, *l.Session)) {
		return false
	}
	return len(f.Symbols) == 0 || l.Symbol != 0 && slices.Contains(f.Symbols, l.Symbol)
}

// Past reports whether no record from this one on can be wanted: positions and
// lane time only rise.
func (f *Filter) Past(rec *app.Record) bool {
	return f.HasTo && rec.Position >= f.Position || f.ToNs != 0 && rec.TimeNs > f.ToNs
}

// Types are the names of records.
func Types() (names []string) {
	for t := app.RecordPadding + 1; t <= app.RecordOperator; t++ {
		names = append(names, t.String())
	}
	return names
}

// ParseTime reads a lane time: RFC 3339, or ns since 1970.
func ParseTime(text string) (int64, error) {
	if ns, err := strconv.ParseInt(text, 10, 64); err == nil {
		return ns, nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return 0, fmt.Errorf("%q is no time: write it like 2026-05-04T09:30:00Z, or as ns since 1970", text)
	}
	return t.UnixNano(), nil
}
