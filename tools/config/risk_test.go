package config

import (
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// What stands in the example's comments of [lane.risk] is a configuration too.
func TestRiskOfTheExample(t *testing.T) {
	path := withKey(t, "example-a.toml")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, risk, _ := strings.Cut(string(b), "[lane.risk]")
	risk, after, _ := strings.Cut(risk, "[[lane.symbol]]")
	var lines []string
	for _, line := range strings.Split(risk, "\n") {
		lines = append(lines, strings.TrimPrefix(line, "# "))
	}
	after = strings.Replace(after, "reference_price_ticks = 10000\n", "reference_price_ticks = 10000\n[lane.symbol.risk]\nrestricted = true\nself_match = \"cancel\"\n", 1)
	doc := before + "[lane.risk]" + strings.Join(lines, "\n") + "\n[[lane.symbol]]" + after
	c, err := Parse(path, []byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	l := &c.Lanes[0]
	got := func(r *Risk) map[string]int64 {
		m := map[string]int64{}
		r.Each(func(name string, value int64) { m[name] = value })
		return m
	}
	all := got(&l.Risk)
	if len(all) != 14 || all["max_qty_lots"] != 1000 || all["self_match"] != 1 || all["restricted"] != 0 || all["repeat_window_ms"] != 1000 {
		t.Errorf("%d limits: %v", len(all), all)
	}
	if a := l.Accounts; len(a) != 1 || a[0].ID != 7 || !maps.Equal(got(&a[0].Risk), map[string]int64{"max_credit": 1_000_000_000}) {
		t.Errorf("%+v", a)
	}
	if s := got(&l.Symbols[0].Risk); !maps.Equal(s, map[string]int64{"restricted": 1, "self_match": 2}) {
		t.Errorf("%v", s)
	}
	if s := got(&l.Sessions[0].Risk); len(s) != 0 {
		t.Errorf("%v", s)
	}
}

func TestRiskAndOperatorsAreChecked(t *testing.T) {
	path := withKey(t, "example-a.toml")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct{ from, to, field string }{
		{"max_qty_lots = 1000", "max_qty_lots = -1", "lane[0].risk.max_qty_lots"},
		{"collar_percent = 10 ", "collar_percent = 101 ", "lane[0].risk.collar_percent"},
		{"max_qty_lots = 1000", "self_match = \"maybe\"", "lane[0].risk.self_match"},
		{"max_qty_lots = 1000", "max_quantity = 5", "lane[0].risk.max_quantity"},
		{"[[lane.symbol]]", "[[lane.account]]\nid = 3\n[[lane.account]]\nid = 3\n[[lane.symbol]]", "lane[0].account[1].id"},
		{"[[lane.symbol]]", "[[lane.account]]\nid = 4294967295\n[[lane.symbol]]", "lane[0].account[0].id"},
		{"[loop]", "[operator]\nuids = [1000]\n[loop]", "operator.socket_mode"},
		{"[loop]", "[operator]\nsocket_mode = \"0066\"\n[loop]", "operator.socket_mode"},
		{"[loop]", "[operator]\nsocket_mode = \"rw\"\n[loop]", "operator.socket_mode"},
	} {
		if !strings.Contains(string(b), x.from) {
			t.Fatalf("the example has no %q", x.from)
		}
		_, err := Parse(path, []byte(strings.Replace(string(b), x.from, x.to, 1)))
		var list Errors
		if !errors.As(err, &list) || !slices.ContainsFunc(list, func(e *Error) bool { return e.Field == x.field && e.Line > 1 && e.Remedy+e.Problem != "" }) {
			t.Errorf("%s: %v", x.to, err)
		}
	}
	for _, good := range []string{"[operator]\nuids = [1000]\nsocket_mode = \"0660\"\nsocket_group = 100\n", "[operator]\n"} {
		if _, err := Parse(path, []byte(strings.Replace(string(b), "[loop]", good+"[loop]", 1))); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
}
