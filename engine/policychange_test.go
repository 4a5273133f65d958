package engine

import (
	"bytes"
	"testing"

	"onebeat/engine/app"
	"onebeat/mirror/policy"
)

// A state remembers the last change of the release policy: who begins with it
// must not answer earlier than the lane does.
func TestStateKeepsThePolicyChange(t *testing.T) {
	m := smallMachine(false)
	apply := func(payload []byte) {
		m.Apply(&app.Record{Type: app.RecordOperator, Payload: payload}, app.NewOutbox(laneEndpoint, 1))
	}
	digest := m.Digest()
	apply([]byte("jane@desk: node-a burnt down"))
	if len(m.PolicyChange()) != 0 || m.Digest() != digest {
		t.Error("an operator's word is a change of the policy")
	}
	for revision := uint32(1); revision < 3; revision++ {
		c := policy.Change{Terms: policy.Terms{Policy: policy.NameArchived, WaitNs: 7, OnTimeout: policy.Stop}, Revision: revision, By: "jane: audit"}
		apply(c.Put(make([]byte, policy.ChangeMaxBytes)))
		to := smallMachine(false)
		if err := to.Load(app.NewStateReader(bytes.NewReader(saved(t, m)))); err != nil {
			t.Fatal(err)
		}
		var got policy.Change
		if !got.Parse(to.PolicyChange()) || got != c || to.Digest() != m.Digest() {
			t.Errorf("%v became %v", c, got)
		}
	}
}
