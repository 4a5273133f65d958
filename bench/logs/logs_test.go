package logs

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"onebeat/bench/shapes"
	"onebeat/tools/config"
	"onebeat/tools/node"
)

// asReader makes the test's program the reading process.
const asReader = "ONEBEAT_BENCH_READER"

func TestMain(m *testing.M) {
	if os.Getenv(asReader) == "" {
		os.Exit(m.Run())
	}
	if os.Args[1] == "node" {
		cfg, err := config.Load(os.Args[2])
		if err == nil {
			err = node.Run(context.Background(), cfg, node.Options{})
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := RunReader(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func options(t *testing.T) Options {
	t.Helper()
	layout, err := shapes.DefaultLayout()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(asReader, "1")
	return Options{Layout: layout, Dir: t.TempDir(), For: 100 * time.Millisecond, Rounds: 1, Orders: 2000, ReaderCommand: []string{os.Args[0]}, NodeCommand: []string{os.Args[0], "node"}, RejoinRates: []int{0}}
}

// Every shape comes to an end, counts what it did and says what was promised; how
// fast it was is no matter here.
func TestShapes(t *testing.T) {
	wanted := []string{Append, Reader}
	if testing.Short() {
		t.Log("left out, for they need root:", Archive, Replay)
	} else {
		wanted = All
	}
	for _, shape := range wanted {
		t.Run(shape, func(t *testing.T) {
			r, err := Measure(context.Background(), shape, options(t))
			if err != nil {
				t.Fatal(err)
			}
			var text strings.Builder
			if err := r.WriteText(&text); err != nil {
				t.Fatal(err)
			}
			b, err := json.Marshal(r)
			if err != nil || r.Records == 0 || r.PerSecond <= 0 || len(r.Bounds) == 0 || r.Shape != shape || !strings.Contains(text.String(), r.Bounds[0].Of) {
				t.Errorf("%v %s", err, b)
			}
		})
	}
	if _, err := Measure(context.Background(), "walk", options(t)); err == nil {
		t.Error("an unknown shape was measured")
	}
}

// An archive follows a log that is many times the ring, and this process does not
// grow by it.
func TestMemoryIsBounded(t *testing.T) {
	o := options(t)
	o.For = 3 * time.Second
	var r Result
	if err := archiveRate(context.Background(), &o, o.Dir+"/lane", &r); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d MiB of log through a ring of %d, resident %d KiB, then %d", r.LogBytes>>20, r.RingBytes>>20, r.RSSBefore>>10, r.RSSAfter>>10)
	if grown := r.RSSAfter - r.RSSBefore; r.RSSBefore == 0 || grown > 32<<20 {
		t.Errorf("resident %d, then %d", r.RSSBefore, r.RSSAfter)
	}
}
