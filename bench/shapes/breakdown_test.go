package shapes

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"onebeat/bench/lab/labtest"
	"onebeat/engine/mark"
	"onebeat/tools/config"
)

// With marks (go test -tags marks) the parts of an order add up to about all of
// it; without them there is an error that says how to get them.
func TestBreakdown(t *testing.T) {
	labtest.NeedRoot(t)
	layout, err := DefaultLayout()
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(Options{Layout: layout, Count: 2000, Warmup: 200, Limit: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	d, err := b.Breakdown(context.Background(), mirrored(config.AppBook, config.ReleaseRide, true))
	if !mark.On {
		if !errors.Is(err, ErrNoMarks) {
			t.Errorf("without marks: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := d.WriteText(&out); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + out.String())
	var sum, all int64
	for _, p := range d.Parts {
		switch {
		case p.Name == "all of it":
			all = p.P50Ns
		case !strings.HasPrefix(p.Name, "("):
			sum += p.P50Ns
		}
	}
	if all == 0 || sum < all/2 || sum > all*2 {
		t.Errorf("the parts' medians add up to %d ns, an order takes %d", sum, all)
	}
	if _, err := b.Breakdown(context.Background(), echoOf(Echo)); err == nil {
		t.Error("an echo has no parts")
	}
}
