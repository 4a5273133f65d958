package app

import "slices"

// Saver is what has a state: a Machine, an App.
type Saver interface{ Save(w *StateWriter) }

// SectionDiff is how one section of a state differs between two machines, a and b.
type SectionDiff struct {
	Section string    `json:"section"`
	Rows    int       `json:"rows"` // that differ
	First   []RowDiff `json:"first"`
}

// RowDiff is one element that differs. Only says which of the two has it, if only one.
type RowDiff struct {
	Row    uint64      `json:"row"`
	Only   string      `json:"only,omitempty"` // "a" or "b"
	Fields []FieldDiff `json:"fields,omitempty"`
}

// FieldDiff is one value that differs; - where there is none.
type FieldDiff struct {
	Name string `json:"name"`
	A    string `json:"a"`
	B    string `json:"b"`
}

type rowKey struct {
	section string
	row     uint64
}

// DiffStates compares two states section by section, by the values that their Save
// shows. It returns the sections that differ, and of each at most so many rows.
func DiffStates(a, b Saver, most int) []SectionDiff {
	var order []string
	rows := [2]map[rowKey]uint64{}
	for i, s := range [2]Saver{a, b} {
		rows[i] = map[rowKey]uint64{}
		s.Save(NewStateVisitor(func(f *Field) {
			if !slices.Contains(order, f.Section) {
				order = append(order, f.Section)
			}
			k := rowKey{f.Section, f.Row}
			rows[i][k] = Fold(rows[i][k], f.Hash())
		}))
	}
	differ := map[string][]uint64{}
	for k, hash := range rows[0] {
		if other, ok := rows[1][k]; !ok || other != hash {
			differ[k.section] = append(differ[k.section], k.row)
		}
	}
	for k := range rows[1] {
		if _, ok := rows[0][k]; !ok {
			differ[k.section] = append(differ[k.section], k.row)
		}
	}
	var list []SectionDiff
	wanted := map[rowKey]bool{}
	for _, section := range order {
		keys := differ[section]
		if len(keys) == 0 {
			continue
		}
		slices.Sort(keys)
		d := SectionDiff{Section: section, Rows: len(keys)}
		for _, row := range keys[:min(len(keys), most)] {
			wanted[rowKey{section, row}] = true
			d.First = append(d.First, RowDiff{Row: row})
		}
		list = append(list, d)
	}
	shown := [2]map[rowKey][]FieldDiff{shownFields(a, wanted), shownFields(b, wanted)}
	for i := range list {
		for j := range list[i].First {
			r := &list[i].First[j]
			k := rowKey{list[i].Section, r.Row}
			r.fill(shown[0][k], shown[1][k])
		}
	}
	return list
}

// shownFields collects the values of some rows, each as the A of a FieldDiff.
func shownFields(s Saver, wanted map[rowKey]bool) map[rowKey][]FieldDiff {
	shown := map[rowKey][]FieldDiff{}
	s.Save(NewStateVisitor(func(f *Field) {
		if k := (rowKey{f.Section, f.Row}); wanted[k] {
			shown[k] = append(shown[k], FieldDiff{Name: f.Name, A: f.Text()})
		}
	}))
	return shown
}

// fieldsShown bounds the values of one row that are shown.
const fieldsShown = 64

// fill keeps the values that differ, by their order.
func (r *RowDiff) fill(a, b []FieldDiff) {
	switch {
	case len(a) == 0:
		r.Only = "b"
	case len(b) == 0:
		r.Only = "a"
	}
	for i := range max(len(a), len(b)) {
		d := FieldDiff{A: "-", B: "-"}
		if i < len(a) {
			d.Name, d.A = a[i].Name, a[i].A
		}
		if i < len(b) {
			d.Name, d.B = b[i].Name, b[i].A
		}
		if d.A != d.B && len(r.Fields) < fieldsShown {
			r.Fields = append(r.Fields, d)
		}
	}
}
