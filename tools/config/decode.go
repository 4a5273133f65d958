package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// decoder fills structs from the tree and collects every error on the way.
type decoder struct {
	file   string
	places map[string]place // of every field the file has, by path
	failed map[string]bool  // paths that already have an error
	errors Errors
}

// Parse decodes and checks a document; file names it in errors.
func Parse(file string, doc []byte) (*Config, error) {
	c := &Config{File: file}
	if err := decode(file, doc, c, func(d *decoder) { (&checker{d, c}).check() }); err != nil {
		return nil, err
	}
	return c, nil
}

// decode fills what into points to, and lets check look at what no single field
// shows.
func decode(file string, doc []byte, into any, check func(*decoder)) error {
	tree, bad := parseTree(file, doc)
	if bad != nil {
		return Errors{bad}
	}
	d := &decoder{file: file, places: map[string]place{}, failed: map[string]bool{}}
	d.table(tree, reflect.ValueOf(into).Elem(), "")
	check(d)
	if len(d.errors) > 0 {
		d.errors.sort()
		return d.errors
	}
	return nil
}

// fail reports a field's error, once per field: what follows from the first
// would only hide it.
func (d *decoder) fail(path, problem, remedy string) {
	if d.failed[path] {
		return
	}
	d.failed[path] = true
	at := d.placeOf(path)
	d.errors = append(d.errors, &Error{File: d.file, Line: at.line, Column: at.column, Field: path, Problem: problem, Remedy: remedy})
}

// placeOf is where a field stands, or the nearest table around it.
func (d *decoder) placeOf(path string) place {
	for path != "" {
		if at, ok := d.places[path]; ok {
			return at
		}
		path = path[:max(strings.LastIndexByte(path, '.'), strings.LastIndexByte(path, '['), 0)]
	}
	return place{1, 1}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// table fills a struct.
func (d *decoder) table(v *value, s reflect.Value, path string) {
	known := map[string]bool{}
	var names []string
	for i := range s.NumField() {
		field := s.Type().Field(i)
		name := field.Tag.Get("toml")
		if name == "" || name == "-" {
			continue
		}
		known[name] = true
		names = append(names, name)
		child, ok := v.table[name]
		if ok {
			d.places[join(path, name)] = child.at
			d.field(child, s.Field(i), field.Tag, join(path, name))
			continue
		}
		d.absent(s.Field(i), field, join(path, name))
	}
	for _, name := range v.names {
		if !known[name] {
			d.places[join(path, name)] = v.table[name].at
			d.fail(join(path, name), "unknown key", "known here: "+strings.Join(names, ", "))
		}
	}
}

// absent gives a field its default or reports it missing.
func (d *decoder) absent(dst reflect.Value, field reflect.StructField, path string) {
	if field.Tag.Get("required") == "true" {
		name := field.Tag.Get("toml")
		remedy := fmt.Sprintf("add %s = …", name)
		switch {
		case field.Type.Kind() == reflect.Slice:
			remedy = fmt.Sprintf("add at least one [[%s]]", plainPath(path))
		case field.Type.Kind() == reflect.Struct:
			remedy = fmt.Sprintf("add the section [%s]", plainPath(path))
		}
		d.fail(path, "missing", remedy)
		return
	}
	if text, ok := field.Tag.Lookup("default"); ok {
		if err := setText(dst, text); err != nil {
			panic(fmt.Sprintf("config: default of %s: %v", path, err))
		}
		return
	}
	if dst.Kind() == reflect.Struct { // an absent section has its fields' defaults
		d.table(newTable(place{1, 1}), dst, path)
	}
}

// plainPath drops the indexes: lane[0].session is headed [[lane.session]].
func plainPath(path string) string {
	var b strings.Builder
	skip := false
	for _, r := range path {
		switch {
		case r == '[':
			skip = true
		case r == ']':
			skip = false
		case !skip:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// field fills one field from its value.
func (d *decoder) field(v *value, dst reflect.Value, tag reflect.StructTag, path string) {
	if text, ok := dst.Addr().Interface().(encoding.TextUnmarshaler); ok {
		d.text(v, dst, text, tag, path)
		return
	}
	want := kindTable
	switch dst.Kind() {
	case reflect.Pointer:
		dst.Set(reflect.New(dst.Type().Elem()))
		d.field(v, dst.Elem(), tag, path)
		return
	case reflect.Slice:
		want = kindList
	case reflect.String:
		want = kindString
	case reflect.Bool:
		want = kindBool
	case reflect.Int, reflect.Int64, reflect.Uint16, reflect.Uint32:
		want = kindInteger
	}
	if v.kind != want {
		remedy := ""
		if v.kind == kindTable && want == kindList {
			remedy = fmt.Sprintf("head it [[%s]]", plainPath(path))
		}
		d.fail(path, fmt.Sprintf("is %v, must be %v", v.kind, want), remedy)
		return
	}
	switch want {
	case kindTable:
		d.table(v, dst, path)
	case kindList:
		dst.Set(reflect.MakeSlice(dst.Type(), len(v.items), len(v.items)))
		for i, item := range v.items {
			itemPath := fmt.Sprintf("%s[%d]", path, i)
			d.places[itemPath] = item.at
			d.field(item, dst.Index(i), "", itemPath)
		}
		if len(v.items) == 0 && tag.Get("required") == "true" {
			d.fail(path, "is empty", fmt.Sprintf("add at least one [[%s]]", plainPath(path)))
		}
	default:
		if err := setText(dst, v.text); err != nil {
			d.fail(path, err.Error(), "")
			return
		}
		d.limits(dst, tag, path)
	}
}

// text fills a field that reads itself from a string. A Size may also be a
// plain number of bytes.
func (d *decoder) text(v *value, dst reflect.Value, text encoding.TextUnmarshaler, tag reflect.StructTag, path string) {
	_, size := text.(*Size)
	if v.kind != kindString && (!size || v.kind != kindInteger) {
		d.fail(path, fmt.Sprintf("is %v, must be %v", v.kind, kindString), "put the value in quotes")
		return
	}
	if err := text.UnmarshalText([]byte(v.text)); err != nil {
		problem, remedy, _ := strings.Cut(err.Error(), "; ")
		d.fail(path, problem, remedy)
		return
	}
	d.limits(dst, tag, path)
}

// setText fills a scalar from its text.
func setText(dst reflect.Value, text string) error {
	if u, ok := dst.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch dst.Kind() {
	case reflect.String:
		dst.SetString(text)
	case reflect.Bool:
		dst.SetBool(text == "true")
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(text, 0, 64)
		if err != nil {
			return fmt.Errorf("%s is not a number of 64 bits", text)
		}
		dst.SetInt(n)
	case reflect.Uint16, reflect.Uint32:
		n, err := strconv.ParseUint(text, 0, dst.Type().Bits())
		if err != nil {
			return fmt.Errorf("%s is out of range; the greatest is %d", text, uint64(1)<<dst.Type().Bits()-1)
		}
		dst.SetUint(n)
	default:
		panic(fmt.Sprintf("config: no rule for a field of type %v", dst.Type()))
	}
	return nil
}

// limits checks oneof, range, and what a port or a required string must be.
func (d *decoder) limits(dst reflect.Value, tag reflect.StructTag, path string) {
	if list := tag.Get("oneof"); list != "" && !slices.Contains(strings.Split(list, "|"), dst.String()) {
		d.fail(path, fmt.Sprintf("%q is not known", dst.String()), "use one of "+strings.ReplaceAll(list, "|", ", "))
	}
	if dst.Kind() == reflect.String && dst.String() == "" && tag.Get("required") == "true" {
		d.fail(path, "is empty", "give it a value")
	}
	if _, ok := dst.Interface().(Port); ok && dst.Uint() == 0 {
		d.fail(path, "0 is not a port", "use 1 to 65535")
	}
	limits := tag.Get("range")
	if limits == "" {
		return
	}
	least, greatest, _ := strings.Cut(limits, "..")
	if outside(dst, least, -1) || outside(dst, greatest, 1) {
		remedy := "use " + least + " to " + greatest
		if greatest == "" {
			remedy = "use " + least + " or more"
		}
		d.fail(path, fmt.Sprintf("%v is out of range", dst.Interface()), remedy)
	}
}

// outside compares a number or duration with a bound; sign -1 for the least.
func outside(dst reflect.Value, bound string, sign int64) bool {
	if bound == "" {
		return false
	}
	limit := reflect.New(dst.Type()).Elem()
	if err := setText(limit, bound); err != nil {
		panic(fmt.Sprintf("config: bound %q: %v", bound, err))
	}
	if sign < 0 {
		return dst.Int() < limit.Int()
	}
	return dst.Int() > limit.Int()
}
