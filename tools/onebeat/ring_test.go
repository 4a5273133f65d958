package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"onebeat/engine/app"
	"onebeat/engine/fixp"
	"onebeat/engine/sbe"
	"onebeat/mirror/archive"
	"onebeat/mirror/lane"
	"onebeat/mirror/ring"
	"onebeat/tools/inspect"
)

const bookConfig = `[node]
name = "n"
number = 1
transport = "udp"
[order]
address = "127.0.0.1"
[archive]
dir = "DIR"
segment_size = "64KiB"
[[lane]]
id = 0
address = "127.0.0.1"
port = 9000
first = true
app = "book"
[[lane.session]]
id = "6f9f0a52-5d1a-4d3f-9a34-0d6c5e9f1a01"
name = "c"
key = "k"
[[lane.symbol]]
id = 7
name = "S"
[[lane.symbol]]
id = 8
name = "T"
`

// writeArchive makes an archive of a book's lane: an epoch and orders in turn on
// two symbols, the last ones of another price if odd is set.
func writeArchive(t *testing.T, dir string, orders int, odd bool) {
	t.Helper()
	const ringBytes = 1 << 20
	var tail uint64
	r, err := ring.New(make([]byte, ringBytes+ring.SlackBytes), ringBytes, &tail)
	if err != nil {
		t.Fatal(err)
	}
	f, err := archive.NewFollower(archive.Options{Dir: dir, SegmentBytes: 64 << 10, Wall: func() int64 { return 1 }}, r)
	if err != nil {
		t.Fatal(err)
	}
	record := lane.Record{Epoch: 1, Writer: 1, Set: [lane.MaxMembers]lane.Member{{Node: 1, Incarnation: 5}}}
	payload := make([]byte, lane.RecordBytes)
	record.Put(payload)
	r.Append(app.RecordEpoch, 1, 1000, payload)
	raw, scratch := make([]byte, 256), make([]byte, 256)
	for i := range orders {
		n := sbe.BlockBytes(sbe.TemplateNewOrderSingle)
		m := sbe.AsNewOrderSingle(sbe.Put(raw, sbe.TemplateNewOrderSingle, n))
		price := int64(100)
		if odd && i >= orders-10 {
			price++
		}
		m.SetClOrdID(uint64(i + 1))
		m.SetSymbolID(uint32(7 + i%2))
		m.SetPriceTicks(price)
		m.SetQtyLots(1)
		m.SetSide([]sbe.Side{sbe.SideBuy, sbe.SideSell}[i/2%2])
		m.SetOrdType(sbe.OrdTypeLimit)
		m.SetTimeInForce(sbe.TimeInForceDay)
		r.Append(app.RecordMessage, 1, int64(2000+i), fixp.PutMessage(scratch, 0, uint64(i+1), raw[sbe.SOFHBytes:sbe.PrefixBytes+n]))
	}
	for now := int64(0); f.Archived() < tail; now += 1e9 {
		f.Step(now)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// run runs a command and returns what it printed, and its error.
func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	c := newRoot()
	c.SetArgs(args)
	c.SetOut(&out)
	c.SetErr(&out)
	err := c.Execute()
	return out.String(), err
}

func TestRingCommands(t *testing.T) {
	dir := t.TempDir()
	a, b, c := archive.LaneDir(dir, "n", 0), filepath.Join(dir, "b"), filepath.Join(dir, "c")
	writeArchive(t, a, 1000, false)
	writeArchive(t, b, 900, false)
	writeArchive(t, c, 1000, true)
	conf := filepath.Join(t.TempDir(), "n.toml")
	if err := os.WriteFile(conf, []byte(strings.Replace(bookConfig, "DIR", dir, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	must := func(args ...string) string {
		t.Helper()
		out, err := run(t, args...)
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return out
	}
	if out := must("ring", "ls", "--config", conf); strings.Count(out, ".seg") < 6 || !strings.Contains(out, "being written") {
		t.Error(out)
	}
	out := must("ring", "dump", "--archived", "--config", conf, "--symbol", "8", "--since", "2100", "--until", "2199", "--json")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var l inspect.Line
	if err := json.Unmarshal([]byte(lines[0]), &l); err != nil || len(lines) != 50 || l.Symbol != 8 || l.ClOrdID != 102 || *l.Session != 0 {
		t.Errorf("%v, %d lines, %+v", err, len(lines), l)
	}
	if out := must("ring", "tail", "--archive", a, "-n", "3"); strings.Count(out, "\n") != 3 || !strings.Contains(out, "ClOrdID 1000 ") {
		t.Error(out)
	}
	if out := must("ring", "dump", "--archive", a, "--type", "epoch"); strings.Count(out, "\n") != 1 || !strings.Contains(out, "writer 1") {
		t.Error(out)
	}
	if out := must("ring", "verify", "--archive", a); !strings.Contains(out, "nothing was altered") {
		t.Error(out)
	}
	if out := must("ring", "diff", a, b); !strings.Contains(out, "the same: 901 records") || !strings.Contains(out, "goes on") {
		t.Error(out)
	}
	if out, err := run(t, "ring", "diff", a, c); err == nil || !strings.Contains(out, "DIFFERENT after 991 records") || !strings.Contains(out, "ClOrdID 991 ") {
		t.Error(err, out)
	}
	digest := func(path string) string {
		var r replayed
		if err := json.Unmarshal([]byte(must("ring", "replay", "--config", conf, "--archive", path, "--json")), &r); err != nil {
			t.Fatal(err)
		}
		if r.Diverged || r.Records < 901 {
			t.Errorf("%+v", r)
		}
		return r.Digest
	}
	if x, y, z := digest(a), digest(a), digest(c); x != y || x == z {
		t.Error(x, y, z)
	}
	harm(t, a)
	out, err := run(t, "ring", "verify", "--archive", a)
	if err == nil || !strings.Contains(out, "HARMED: "+a) || !strings.Contains(out, "salvageable: 0 to ") {
		t.Error(err, out)
	}
	if out, err := run(t, "ring", "replay", "--config", conf, "--archive", a); err == nil {
		t.Error("a harmed archive was replayed", out)
	}
	if _, err := run(t, "ring", "verify", "--archive", filepath.Join(dir, "none")); err == nil {
		t.Error("an archive that is not there")
	}
}

// harm flips a bit in the first segment.
func harm(t *testing.T, dir string) {
	t.Helper()
	path := filepath.Join(dir, "00000000000000000000.seg")
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	file[20000] ^= 4
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
}
