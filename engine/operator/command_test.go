package operator_test

import (
	"bytes"
	"strings"
	"testing"

	. "onebeat/engine/operator"
	"onebeat/mirror/policy"
)

func example() Command {
	c := New(RiskSet)
	c.UID, c.UnixNs, c.Account, c.What, c.Value, c.Price, c.Order = 1001, 1_700_000_000_000_000_000, 7, 3, -5, 1<<40, 1<<47
	c.Who, c.Why = []byte("jane"), []byte("limit of the desk")
	return c
}

func TestCommandRoundTrip(t *testing.T) {
	c := example()
	var got Command
	b := c.Put(make([]byte, MaxBytes))
	if !got.Parse(b) || !bytes.Equal(got.Put(make([]byte, MaxBytes)), b) || string(got.Who) != "jane" || got.Session != None || got.Value != -5 {
		t.Fatalf("%+v became %+v", c, got)
	}
	if s := got.String(); !strings.Contains(s, "risk set account 7") || !strings.Contains(s, "by jane (uid 1001): limit of the desk") {
		t.Error(s)
	}
	long := New(Kill)
	long.Who, long.Why = bytes.Repeat([]byte("x"), 100), bytes.Repeat([]byte("y"), 1000)
	if b := long.Put(make([]byte, MaxBytes)); !got.Parse(b) || len(got.Who) != WhoMaxBytes || len(got.Why) != WhyMaxBytes {
		t.Errorf("%d bytes", len(b))
	}
}

// TestNoOtherOperatorRecordIsACommand: the three kinds of such records are told apart.
func TestNoOtherOperatorRecordIsACommand(t *testing.T) {
	change := policy.Change{Terms: policy.Terms{Policy: policy.NameMirrored, WaitNs: policy.Forever}, Revision: 1, By: "jane: " + strings.Repeat("x", 80)}
	c := example()
	for _, b := range [][]byte{change.Put(make([]byte, policy.ChangeMaxBytes)), []byte("jane@desk: node-a burnt down"), bytes.Repeat([]byte{0}, 80)} {
		if IsCommand(b) {
			t.Errorf("%q is a command", b)
		}
	}
	if policy.IsChange(c.Put(make([]byte, MaxBytes))) {
		t.Error("a command is a change of the policy")
	}
}

func FuzzParse(f *testing.F) {
	c := example()
	f.Add(c.Put(make([]byte, MaxBytes)))
	f.Fuzz(func(t *testing.T, b []byte) {
		var got Command
		if got.Parse(b) && !bytes.Equal(got.Put(make([]byte, MaxBytes)), b) {
			t.Errorf("%x is not what it is encoded to", b)
		}
	})
}

func TestNoAllocations(t *testing.T) {
	c, b := example(), make([]byte, MaxBytes)
	var got Command
	if n := testing.AllocsPerRun(100, func() { got.Parse(c.Put(b)) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}
