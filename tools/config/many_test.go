package config

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// A file of ten thousand sessions is read in a moment.
func TestManySessionsAreRead(t *testing.T) {
	var b strings.Builder
	b.WriteString("[node]\nname = \"a\"\nnumber = 1\ntransport = \"udp\"\n[order]\naddress = \"127.0.0.1\"\n" +
		"[[lane]]\nid = 0\naddress = \"127.0.0.1\"\nport = 9000\napp = \"book\"\n[[lane.symbol]]\nid = 1\nname = \"S\"\n")
	for i := range 10_000 {
		fmt.Fprintf(&b, "[[lane.session]]\nid = \"6f9f0a52-5d1a-4d3f-9a34-%012x\"\nname = \"c%d\"\nkey = \"k\"\norders_per_second = 100\n", i+1, i)
	}
	start := time.Now()
	c, err := Parse("a.toml", []byte(b.String()))
	if err != nil || len(c.Lanes[0].Sessions) != 10_000 {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
}
