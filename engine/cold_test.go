package engine

import (
	"slices"
	"testing"

	"onebeat/engine/app"
	"onebeat/engine/cold"
	"onebeat/mirror"
	"onebeat/mirror/lane"
	"onebeat/mirror/policy"
	"onebeat/mirror/ring"
	"onebeat/xdp/frame"
)

// noting is a machine that notes what it applies.
type noting struct {
	app.Machine
	applied []byte
}

func (m *noting) Apply(rec *app.Record, _ *app.Outbox) {
	m.applied = append(m.applied, rec.Payload[0])
}

// TestDraftsWaitForTheRing: what meets a full ring stays where it is, and is taken once and
// in order when there is room. Nobody would send it again.
func TestDraftsWaitForTheRing(t *testing.T) {
	table, word := &lane.Table{}, uint64(0)
	table.Config.Incarnation = 1
	log, err := ring.New(make([]byte, ring.MinSizeBytes+ring.SlackBytes), ring.MinSizeBytes, &table.Tail)
	if err != nil {
		t.Fatal(err)
	}
	replica, err := mirror.New(mirror.Config{Node: 1, First: true, HeartbeatNs: 1e6, NowNs: func() int64 { return 0 },
		Terms: policy.Terms{Policy: policy.NameNone, WaitNs: policy.Forever}}, mirror.Memory{Table: table, Authority: &word, Ring: log}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	m := &noting{}
	l := NewLoop(nil, nil, replica, func() app.Machine { return m }, app.NewOutbox(frame.Endpoint{}, 1))
	l.room = true
	port := cold.NewPort(func() {}, func() {})
	l.UsePort(port)
	l.startCold()
	draft := make([]byte, 100)
	for i := range 3 {
		draft[0] = byte(i)
		if !port.Submit(cold.Draft, port.ServingClients(), draft) {
			t.Fatal("no room in the port")
		}
	}
	port.Flush()
	log.SetLimit(log.Tail())
	for range 2 {
		if n := l.takeCold(1); n != 0 || len(m.applied) != 0 || l.counters.Drafts != 0 {
			t.Fatalf("%d taken, %v applied by a full ring", n, m.applied)
		}
	}
	if l.counters.RingFull != 2 {
		t.Errorf("a full ring was counted %d times", l.counters.RingFull)
	}
	log.SetLimit(log.Tail() + 200) // one record
	if n := l.takeCold(2); n != 1 {
		t.Fatalf("%d taken where one fits", n)
	}
	log.SetLimit(ring.NoLimit)
	if n := l.takeCold(3); n != 2 || !slices.Equal(m.applied, []byte{0, 1, 2}) || l.counters.Drafts != 3 {
		t.Fatalf("%d taken, %v applied", n, m.applied)
	}
	if n := l.takeCold(4); n != 0 {
		t.Errorf("%d taken again", n)
	}
}
