package config

import (
	"errors"
	"fmt"
	"sort"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// kind is what a value is in the file.
type kind uint8

const (
	kindTable kind = iota
	kindList
	kindString
	kindInteger
	kindBool
	kindOther // float, date, time: the format has no field of these
)

// String names the kind the way an error message does.
func (k kind) String() string {
	return [...]string{"a table", "a list", "a string", "an integer", "a boolean", "a number or time of another kind"}[k]
}

// place is a position in the file, from 1.
type place struct{ line, column int }

// value is a node of the file with its place, which go-toml's decoder does not
// keep: without it, only the first error would have one.
type value struct {
	at    place
	kind  kind
	text  string // scalars
	names []string
	table map[string]*value
	items []*value
}

func newTable(at place) *value {
	return &value{at: at, kind: kindTable, table: map[string]*value{}}
}

func (v *value) set(name string, child *value) {
	if _, ok := v.table[name]; !ok {
		v.names = append(v.names, name)
	}
	v.table[name] = child
}

// descend returns the table under name, made if absent; of a list of tables,
// its last one, as TOML's headers mean it.
func (v *value) descend(name string, at place) *value {
	next, ok := v.table[name]
	if !ok {
		next = newTable(at)
		v.set(name, next)
	}
	if next.kind == kindList && len(next.items) > 0 {
		next = next.items[len(next.items)-1]
	}
	if next.kind != kindTable {
		// go-toml has refused such a file before.
		panic(fmt.Sprintf("config: %q at %v is %v where a table was", name, at, next.kind))
	}
	return next
}

// parseTree reads a document; its error says where the syntax is wrong.
func parseTree(file string, doc []byte) (*value, *Error) {
	// The decoder refuses what a plain parse accepts: keys and tables given
	// twice, values of impossible dates.
	var any map[string]any
	if err := toml.Unmarshal(doc, &any); err != nil {
		bad := &Error{File: file, Line: 1, Column: 1, Problem: err.Error(), Remedy: "see https://toml.io for the syntax"}
		if syntax, ok := errors.AsType[*toml.DecodeError](err); ok {
			bad.Line, bad.Column = syntax.Position()
		}
		return nil, bad
	}
	p := newReader(doc)
	root := newTable(place{1, 1})
	table := root
	for p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.Table:
			table = header(p, root, e, false)
		case unstable.ArrayTable:
			table = header(p, root, e, true)
		case unstable.KeyValue:
			keyValue(p, table, e)
		}
	}
	if err := p.Error(); err != nil {
		return nil, &Error{File: file, Line: 1, Column: 1, Problem: err.Error()}
	}
	return root, nil
}

// reader is the parser with an index of lines: the parser's own way to a node's
// place counts lines from the beginning of the file each time.
type reader struct {
	unstable.Parser
	lines []int // where each begins
}

func newReader(doc []byte) *reader {
	p := &reader{lines: []int{0}}
	p.Reset(doc)
	for i, c := range doc {
		if c == '\n' {
			p.lines = append(p.lines, i+1)
		}
	}
	return p
}

func placeOf(p *reader, n *unstable.Node) place {
	at := int(n.Raw.Offset)
	line := sort.SearchInts(p.lines, at+1)
	return place{line, at - p.lines[line-1] + 1}
}

// header opens [a.b] or [[a.b]].
func header(p *reader, root *value, e *unstable.Node, list bool) *value {
	table := root
	for it := e.Key(); it.Next(); {
		name, at := string(it.Node().Data), placeOf(p, it.Node())
		if !it.IsLast() || !list {
			table = table.descend(name, at)
			if it.IsLast() {
				table.at = at
			}
			continue
		}
		items, ok := table.table[name]
		if !ok {
			items = &value{at: at, kind: kindList}
			table.set(name, items)
		}
		table = newTable(at)
		items.items = append(items.items, table)
	}
	return table
}

func keyValue(p *reader, table *value, e *unstable.Node) {
	for it := e.Key(); it.Next(); {
		name, at := string(it.Node().Data), placeOf(p, it.Node())
		if it.IsLast() {
			table.set(name, scalar(p, e.Value(), at))
			return
		}
		table = table.descend(name, at)
	}
}

// scalar turns a value node into a value; keyAt is where its key stands.
func scalar(p *reader, n *unstable.Node, keyAt place) *value {
	v := &value{at: keyAt, text: string(n.Data)}
	if n.Raw.Length > 0 {
		v.at = placeOf(p, n)
	}
	switch n.Kind {
	case unstable.String:
		v.kind = kindString
	case unstable.Integer:
		v.kind = kindInteger
	case unstable.Bool:
		v.kind = kindBool
	case unstable.Array:
		v.kind = kindList
		for it := n.Children(); it.Next(); {
			v.items = append(v.items, scalar(p, it.Node(), v.at))
		}
	case unstable.InlineTable:
		v.kind, v.table = kindTable, map[string]*value{}
		for it := n.Children(); it.Next(); {
			keyValue(p, v, it.Node())
		}
	default:
		v.kind = kindOther
	}
	return v
}
