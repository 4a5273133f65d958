package etcd

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"onebeat/bench/lab/porttest"
	"onebeat/mirror/arbiter"
	"onebeat/mirror/etcd/member"
	"onebeat/mirror/lane"
)

var (
	memberA = lane.Member{Node: 1, Incarnation: 11}
	memberB = lane.Member{Node: 2, Incarnation: 22}
)

// cluster is some members in this process.
type cluster struct {
	t       testing.TB
	dir     string
	options []member.Options
	members []*member.Member
}

func startCluster(t testing.TB, count int) *cluster {
	t.Helper()
	c := &cluster{t: t, dir: t.TempDir(), members: make([]*member.Member, count)}
	var all []string
	for i := range count {
		name := fmt.Sprintf("m%d", i)
		o := member.Options{Name: name, DataDir: filepath.Join(c.dir, name), Client: porttest.Hold(t), Peer: porttest.Hold(t), LogLevel: "fatal"}
		all = append(all, fmt.Sprintf("%s=http://%v", name, o.Peer))
		c.options = append(c.options, o)
	}
	errs := make(chan error, count)
	for i := range count {
		c.options[i].Cluster = strings.Join(all, ",")
		go func() { errs <- c.start(i) }()
	}
	for range count {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for i := range c.members {
			c.stop(i)
		}
	})
	return c
}

func (c *cluster) start(i int) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c.members[i], err = member.Start(ctx, c.options[i])
	return err
}

func (c *cluster) stop(i int) {
	if c.members[i] == nil {
		return
	}
	if err := c.members[i].Close(); err != nil {
		c.t.Error(err)
	}
	c.members[i] = nil
}

func (c *cluster) endpoints() (e []string) {
	for _, o := range c.options {
		e = append(e, fmt.Sprintf("http://%v", o.Client))
	}
	return e
}

func (c *cluster) open(laneID, node uint8) *Arbiter {
	c.t.Helper()
	a, err := Open(Options{Endpoints: c.endpoints(), Prefix: "/onebeat/test", Lane: laneID, Node: node, Timeout: 2 * time.Second})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		if err := a.Close(); err != nil {
			c.t.Error(err)
		}
	})
	return a
}

var began = time.Now()

func nowNs() int64 { return int64(time.Since(began)) + 1 }

// settle polls, and asks again as the role machine does, until there is an
// answer.
func settle(t testing.TB, a *Arbiter, ask func()) arbiter.Answer {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Microsecond) {
		ask()
		if answer, ok := a.Poll(nowNs()); ok {
			return answer
		}
	}
	t.Fatal("no answer within 20 s")
	return arbiter.Answer{}
}

func swap(t testing.TB, a *Arbiter, r arbiter.Request) arbiter.Answer {
	t.Helper()
	return settle(t, a, func() { a.Swap(r, nowNs()) })
}

func read(t testing.TB, a *Arbiter) arbiter.Answer {
	t.Helper()
	return settle(t, a, func() { a.Read(nowNs()) })
}

func TestRegisterInEtcd(t *testing.T) {
	c := startCluster(t, 1)
	a, b := c.open(0, 1), c.open(0, 2)
	answer := read(t, a)
	if !answer.Granted || !answer.Unknown || answer.Boot == 0 {
		t.Fatalf("%+v", answer)
	}
	boot := answer.Boot
	var first arbiter.Record
	first = first.Alone(memberA)
	if got := swap(t, a, arbiter.Request{Self: 1, Next: first, Proof: arbiter.Writing}); got.Granted || !got.Unknown {
		t.Fatalf("%+v", got)
	}
	if got := swap(t, a, arbiter.Request{Self: 1, Next: first, Proof: arbiter.Seed, Boot: boot + 1}); got.Granted {
		t.Fatalf("%+v", got)
	}
	seed := arbiter.Request{Self: 1, Next: first, Proof: arbiter.Seed, Boot: boot}
	for range 2 { // its answer may have been lost
		if got := swap(t, a, seed); !got.Granted || got.Record != first {
			t.Fatalf("%+v", got)
		}
	}
	both := first.Pair(memberA, memberB)
	if got := swap(t, a, arbiter.Request{Self: 1, Current: first, Next: both, Proof: arbiter.Writing}); !got.Granted || got.Record != both {
		t.Fatalf("%+v", got)
	}
	// B has seen nothing of the key yet: its transaction finds out.
	claim := arbiter.Request{Self: 2, Current: both, Next: both.Alone(memberB), Proof: arbiter.KernelProof}
	if got := swap(t, b, claim); !got.Granted || got.Boot != boot {
		t.Fatalf("%+v", got)
	}
	// A's view of the key is old: the transaction is refused by its revision.
	if got := swap(t, a, arbiter.Request{Self: 1, Current: both, Next: both.Alone(memberA), Proof: arbiter.Writing}); got.Granted || got.Record != claim.Next {
		t.Fatalf("%+v", got)
	}
	if st := a.State(); st.Record != claim.Next || st.Boot != boot || st.AnsweredNs == 0 || st.RoundNs <= 0 {
		t.Errorf("%+v", st)
	}
	if other := read(t, c.open(7, 1)); !other.Unknown {
		t.Errorf("lane 7: %+v", other)
	}
	// A member that is started again still knows.
	c.stop(0)
	a.Read(nowNs())
	for until := time.Now().Add(50 * time.Millisecond); time.Now().Before(until); {
		if _, ok := a.Poll(nowNs()); ok {
			t.Fatal("answered by nobody")
		}
	}
	if err := c.start(0); err != nil {
		t.Fatal(err)
	}
	if got := read(t, a); got.Record != claim.Next || got.Boot != boot {
		t.Fatalf("%+v", got)
	}
}

// Somebody's hand in the key is no record, and no reason to seed either.
func TestForeignValueIsRefused(t *testing.T) {
	c := startCluster(t, 1)
	put := func(value string) {
		client, err := clientv3.New(clientv3.Config{Endpoints: c.endpoints()})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if _, err := client.Put(t.Context(), Key("/onebeat/test", 0), value); err != nil {
			t.Fatal(err)
		}
	}
	put("hello")
	a := c.open(0, 1)
	a.Read(nowNs())
	for until := time.Now().Add(300 * time.Millisecond); time.Now().Before(until); time.Sleep(time.Millisecond) {
		if got, ok := a.Poll(nowNs()); ok {
			t.Fatalf("%+v", got)
		}
	}
	if a.failed == 0 {
		t.Error("not counted")
	}
	var first arbiter.Record
	first = first.Alone(memberA)
	put(first.String())
	if got := read(t, a); got.Record != first {
		t.Errorf("%+v", got)
	}
}

// One member of three dies, whichever it is: the next answer costs an election
// at most.
func TestMemberOfThreeDies(t *testing.T) {
	c := startCluster(t, 3)
	a := c.open(0, 1)
	var record arbiter.Record
	record = record.Alone(memberA)
	swap(t, a, arbiter.Request{Self: 1, Next: record, Proof: arbiter.Seed, Boot: read(t, a).Boot})
	step := func() time.Duration {
		t.Helper()
		next := record.Alone(memberA)
		from := time.Now()
		if got := swap(t, a, arbiter.Request{Self: 1, Current: record, Next: next, Proof: arbiter.Sole}); !got.Granted {
			t.Fatalf("%+v", got)
		}
		record = next
		return time.Since(from)
	}
	step()
	leader := slices.IndexFunc(c.members, func(m *member.Member) bool { s := m.Status(); return s.ID == s.Leader })
	if leader < 0 {
		t.Fatal("no leader")
	}
	c.stop((leader + 1) % 3)
	t.Logf("a follower is gone: %v", step())
	if err := c.start((leader + 1) % 3); err != nil {
		t.Fatal(err)
	}
	step()
	c.stop(leader)
	t.Logf("the leader is gone: %v", step())
	if took := step(); took > time.Second {
		t.Errorf("a change takes %v", took)
	}
}

// Two nodes that ask at the same time, again and again: one wins each epoch.
func TestOneWinsEachEpoch(t *testing.T) {
	c := startCluster(t, 1)
	a, b := c.open(0, 1), c.open(0, 2)
	var record arbiter.Record
	record = record.Alone(memberA)
	swap(t, a, arbiter.Request{Self: 1, Next: record, Proof: arbiter.Seed, Boot: read(t, a).Boot})
	for range 50 {
		ra := arbiter.Request{Self: 1, Current: record, Next: record.Alone(memberA)}
		rb := arbiter.Request{Self: 2, Current: record, Next: record.Alone(memberB)}
		a.Swap(ra, nowNs())
		b.Swap(rb, nowNs())
		ga, gb := swap(t, a, ra), swap(t, b, rb)
		if ga.Granted == gb.Granted || ga.Record != gb.Record {
			t.Fatalf("%+v %+v", ga, gb)
		}
		record = ga.Record
	}
}

// What a change costs, beside the witness's ten microseconds.
func TestLatency(t *testing.T) {
	if testing.Short() {
		t.Skip("measures: left out by -short, `make test` runs it")
	}
	for _, count := range []int{1, 3} {
		c := startCluster(t, count)
		a := c.open(0, 1)
		var record arbiter.Record
		record = record.Alone(memberA)
		swap(t, a, arbiter.Request{Self: 1, Next: record, Proof: arbiter.Seed, Boot: read(t, a).Boot})
		took := make([]time.Duration, 300)
		for i := range took {
			next := record.Alone(memberA)
			from := time.Now()
			if got := swap(t, a, arbiter.Request{Self: 1, Current: record, Next: next}); !got.Granted {
				t.Fatalf("%+v", got)
			}
			took[i], record = time.Since(from), next
		}
		slices.Sort(took)
		t.Logf("SWAP in etcd, %d members in this process: p50 %v p90 %v p99 %v max %v", count, took[150], took[270], took[297], took[299])
		if took[150] > 100*time.Millisecond {
			t.Errorf("p50 %v", took[150])
		}
	}
}

func TestAskingAllocatesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector allocates: left out by -short, `make test` runs it")
	}
	a := &Arbiter{wakeFD: -1}
	r := arbiter.Request{Self: 1}
	now := int64(1)
	if n := testing.AllocsPerRun(1000, func() {
		now++
		r.Boot++
		a.Swap(r, now)
		a.Swap(r, now)
		var q ask
		if !a.asks.take(&q) || a.asks.take(&q) {
			t.Fatal("not asked once")
		}
		a.replies.put(&reply{id: q.id})
		if _, ok := a.Poll(now); !ok {
			t.Fatal("no answer")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// What comes for a question that is not asked any more, or failed, is no answer.
func TestOnlyTheLastQuestionIsAnswered(t *testing.T) {
	a := &Arbiter{wakeFD: -1}
	a.Read(1)
	a.Swap(arbiter.Request{Self: 1}, 2)
	a.replies.put(&reply{id: 1})
	if _, ok := a.Poll(3); ok || a.stray != 1 {
		t.Fatal("the answer to READ")
	}
	a.replies.put(&reply{id: 2, failed: true})
	if _, ok := a.Poll(4); ok || a.failed != 1 {
		t.Fatal("a failure is an answer")
	}
	a.Swap(arbiter.Request{Self: 1}, 5)
	if a.last.id != 3 || a.asked != 3 {
		t.Fatalf("not asked again: %+v", a.last)
	}
	a.replies.put(&reply{id: 3})
	if _, ok := a.Poll(6); !ok {
		t.Fatal("no answer")
	}
	for i := range mailboxSlots + 2 {
		a.Swap(arbiter.Request{Self: 1, Boot: uint64(i)}, 7)
	}
	if a.full == 0 || a.asking {
		t.Fatalf("the worker sleeps: %d full", a.full)
	}
}
