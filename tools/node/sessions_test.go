package node

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"onebeat/tools/config"
)

// manySessions is a node's file with so many sessions in its lane.
func manySessions(app, venue string, n int) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `[node]
name = "many"
number = 1
transport = "udp"
[order]
address = "127.0.0.1"
[[lane]]
id = 0
address = "127.0.0.1"
port = 9000
app = %q
first = true
[[lane.symbol]]
id = 1
name = "S"
reference_price_ticks = 100
%s
`, app, venue)
	for i := range n {
		fmt.Fprintf(&b, "[[lane.session]]\nid = \"6f9f0a52-5d1a-4d3f-9a34-%012x\"\nname = \"c%d\"\nkey = \"k%d\"\ncancel_on_disconnect = \"5s\"\norders_per_second = 1000\n", i+1, i, i)
	}
	return []byte(b.String())
}

// A lane of ten thousand sessions is read, and its machine is of a size that a
// node bears: what is kept for each is less when they are many.
func TestTenThousandSessions(t *testing.T) {
	const sessions = 10_000
	venue := "[[lane.venue]]\nname = \"v\"\naddress = \"127.0.0.2\"\nport = 9100\nlocal_port = 9001\nsession = \"6f9f0a52-5d1a-4d3f-9a35-0d6c5e9f1b01\"\nkey = \"v\"\n"
	for app, venue := range map[string]string{config.AppBook: "", config.AppGateway: venue} {
		c, err := config.Parse("many.toml", manySessions(app, venue, sessions))
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		m, err := newMachine(&c.Lanes[0], nil, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		mib := int64(after.HeapAlloc-before.HeapAlloc) >> 20
		t.Logf("%s: %d MiB", app, mib)
		if m.Server().Sessions() != sessions || mib > 400 {
			t.Errorf("%s: %d sessions take %d MiB", app, m.Server().Sessions(), mib)
		}
		runtime.KeepAlive(m)
	}
}
