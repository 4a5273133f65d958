package drill

import (
	"strings"
	"testing"

	"onebeat/bench/load"
)

// Orders count for the time they were due in, a node that did not come back for
// nothing.
func TestCatchUpsAreMeasured(t *testing.T) {
	const ms = 1_000_000
	logs := &Logs{Marks: []Mark{{AtNs: 100 * ms, BackNs: 400 * ms, InSyncNs: 600 * ms}, {AtNs: 900 * ms}}}
	for at := int64(0); at < 1000*ms; at += ms {
		took := int64(50_000)
		switch {
		case at >= 100*ms && at < 200*ms: // not settled
			took = 9 * ms
		case at >= 400*ms && at < 600*ms:
			took = 60_000
		}
		logs.Orders = append(logs.Orders, load.Order{IntendedNs: at, FirstAnswerNs: at + took})
	}
	all := catchUps(logs)
	if len(all) != 1 || all[0].Alone.Count != 200 || all[0].During.Count != 200 || all[0].TookNs != 200*ms {
		t.Fatalf("%+v", all)
	}
	c := caughtUp(all)
	if c.Ratio < 1.19 || c.Ratio > 1.21 {
		t.Errorf("%+v", c)
	}
	var out strings.Builder
	if err := c.writeText(&out); err != nil || !strings.Contains(out.String(), "1.20 times") {
		t.Errorf("%q %v", out.String(), err)
	}
	if caughtUp(nil).writeText(&out) != nil {
		t.Error("nothing to write is no error")
	}
}
