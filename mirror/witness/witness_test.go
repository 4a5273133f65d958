package witness

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"onebeat/mirror/arbiter"
	"onebeat/mirror/lane"
)

var (
	key     = [32]byte{1, 2, 3}
	memberA = lane.Member{Node: 1, Incarnation: 11}
	memberB = lane.Member{Node: 2, Incarnation: 22}
)

// serve runs a witness on loopback until the test ends, or stop is called.
func serve(t testing.TB, at netip.AddrPort, groups ...Group) (s *Server, stop func()) {
	t.Helper()
	if len(groups) == 0 {
		groups = []Group{{"pair", key}}
	}
	s, err := Listen(ServerOptions{Listen: at, Groups: groups})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { s.Run(ctx) })
	stop = sync.OnceFunc(func() {
		cancel()
		done.Wait()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return s, stop
}

var anywhere = netip.MustParseAddrPort("127.0.0.1:0")

func dial(t testing.TB, at netip.AddrPort, laneID, node uint8) *Client {
	t.Helper()
	c, err := Dial(Options{Witness: at, Key: key, Lane: laneID, Node: node, TimeoutNs: int64(50 * time.Millisecond)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

var start = time.Now()

func nowNs() int64 { return int64(time.Since(start)) + 1 }

// settle polls until there is an answer.
func settle(t testing.TB, c *Client) arbiter.Answer {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		if a, ok := c.Poll(nowNs()); ok {
			return a
		}
	}
	t.Fatal("no answer within 5 s")
	return arbiter.Answer{}
}

func swap(t testing.TB, c *Client, r arbiter.Request) arbiter.Answer {
	t.Helper()
	c.Swap(r, nowNs())
	return settle(t, c)
}

func read(t testing.TB, c *Client) arbiter.Answer {
	t.Helper()
	c.Read(nowNs())
	return settle(t, c)
}

func counters(visit func(func(string, uint64))) map[string]uint64 {
	m := map[string]uint64{}
	visit(func(name string, count uint64) { m[strings.TrimPrefix(name, "arbiter_")] = count })
	return m
}

func TestRegisterOverUDP(t *testing.T) {
	s, stop := serve(t, anywhere)
	a, b := dial(t, s.Addr(), 0, 1), dial(t, s.Addr(), 0, 2)
	answer := read(t, a)
	if !answer.Granted || !answer.Unknown || answer.Boot != s.Boot() {
		t.Fatalf("%+v", answer)
	}
	var first arbiter.Record
	first = first.Alone(memberA)
	if got := swap(t, a, arbiter.Request{Self: 1, Next: first, Proof: arbiter.Seed, Boot: answer.Boot}); !got.Granted {
		t.Fatalf("%+v", got)
	}
	both := first.Pair(memberA, memberB)
	if got := swap(t, a, arbiter.Request{Self: 1, Current: first, Next: both, Proof: arbiter.Writing}); !got.Granted || got.Record != both {
		t.Fatalf("%+v", got)
	}
	claim := arbiter.Request{Self: 2, Current: both, Next: both.Alone(memberB), Proof: arbiter.KernelProof}
	if got := swap(t, b, claim); !got.Granted {
		t.Fatalf("%+v", got)
	}
	got := swap(t, a, arbiter.Request{Self: 1, Current: both, Next: both.Alone(memberA), Proof: arbiter.Writing})
	if got.Granted || got.Record != claim.Next || !strings.Contains(got.Reason, "changed") {
		t.Fatalf("%+v", got)
	}
	if other := read(t, dial(t, s.Addr(), 5, 1)); !other.Unknown {
		t.Fatalf("lane 5: %+v", other)
	}
	if st := a.State(); st.Record != claim.Next || st.AnsweredNs == 0 || st.RoundNs <= 0 {
		t.Errorf("%+v", st)
	}

	// The witness starts again at the same place, with nothing in its memory.
	at := s.Addr()
	stop()
	a.Read(nowNs())
	for until := nowNs() + int64(20*time.Millisecond); nowNs() < until; {
		if _, ok := a.Poll(nowNs()); ok {
			t.Fatal("answered by nobody")
		}
	}
	s, _ = serve(t, at)
	if got := settle(t, a); !got.Unknown || got.Boot != s.Boot() {
		t.Fatalf("%+v", got)
	}
	if got := swap(t, b, arbiter.Request{Self: 2, Current: claim.Next, Next: claim.Next.Pair(memberB, memberA)}); got.Granted || !got.Unknown {
		t.Fatalf("%+v", got)
	}
	if got := swap(t, b, arbiter.Request{Self: 2, Current: claim.Next, Next: claim.Next, Proof: arbiter.Seed, Boot: s.Boot()}); !got.Granted {
		t.Fatalf("%+v", got)
	}
	if counts := counters(b.Counters); counts["tickets"] == 0 || counts["answered"] != 3 {
		t.Errorf("%v", counts)
	}
	if counts := counters(s.Counters); counts["granted"] != 1 || counts["refused_unknown"] != 1 || counts["no_ticket"] == 0 {
		t.Errorf("%v", counts)
	}
}

func TestOperatorSeeds(t *testing.T) {
	s, _ := serve(t, anywhere, Group{"pair", key}, Group{"desk", [32]byte{9}})
	var first arbiter.Record
	first = first.Alone(memberA)
	for _, c := range []struct {
		group  string
		record arbiter.Record
		want   error
	}{
		{"nobody", first, ErrNoGroup},
		{"pair", arbiter.Record{}, ErrSeed},
		{"pair", first, nil},
		{"pair", first, nil},
		{"pair", first.Alone(memberA), ErrSeed},
	} {
		if err := s.Seed(c.group, 4, c.record); !errors.Is(err, c.want) {
			t.Errorf("%s %v: %v", c.group, c.record, err)
		}
	}
	if got := read(t, dial(t, s.Addr(), 4, 2)); got.Record != first {
		t.Errorf("%+v", got)
	}
	n := 0
	s.Each(func(group string, laneID uint8, g arbiter.Register) {
		n++
		if group != "pair" || laneID != 4 || g.Record != first || g.Boot != s.Boot() {
			t.Errorf("%s %d %+v", group, laneID, g)
		}
	})
	if n != 1 {
		t.Errorf("%d registers", n)
	}
}

func TestChangesAreTold(t *testing.T) {
	s, _ := serve(t, anywhere)
	a := dial(t, s.Addr(), 1, 1)
	var first arbiter.Record
	first = first.Alone(memberA)
	boot := read(t, a).Boot
	swap(t, a, arbiter.Request{Self: 1, Next: first, Proof: arbiter.Seed, Boot: boot})
	swap(t, a, arbiter.Request{Self: 1, Current: first.Alone(memberA), Next: first, Proof: arbiter.Sole})
	for _, want := range []arbiter.Change{
		{Group: "pair", Lane: 1, Node: 1, Proof: arbiter.Seed, To: first},
		{Group: "pair", Lane: 1, Node: 1, Proof: arbiter.Sole, From: first, To: first, Refusal: arbiter.RefusedForm, Repeated: true},
	} {
		select {
		case got := <-s.Changes():
			if got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		case <-time.After(time.Second):
			t.Fatalf("%+v is not told", want)
		}
	}
}

// A stranger's datagrams, of any length, are counted and not answered; a
// client that gets some instead of answers waits on.
func TestStrangers(t *testing.T) {
	s, _ := serve(t, anywhere)
	stranger, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(stranger)
	to := &unix.SockaddrInet4{Port: int(s.Addr().Port()), Addr: s.Addr().Addr().As4()}
	for _, n := range []int{0, 1, arbiter.AskBytes, arbiter.AskBytes + 1, 1400} {
		if err := unix.Sendto(stranger, make([]byte, n), 0, to); err != nil {
			t.Fatal(err)
		}
	}
	c := dial(t, s.Addr(), 0, 1)
	read(t, c)
	if got := counters(s.Counters); got["bad_length"] != 4 || got["bad_magic"] != 1 || got["received"] != 6 {
		t.Errorf("%v", got)
	}
	if n, _, err := unix.Recvfrom(stranger, make([]byte, 10), unix.MSG_DONTWAIT); err == nil {
		t.Errorf("%d bytes of an answer", n)
	}
	// The same towards the client: its port is that of its last frame.
	name, err := unix.Getsockname(c.fd)
	if err != nil {
		t.Fatal(err)
	}
	port := name.(*unix.SockaddrInet4).Port
	for _, n := range []int{0, arbiter.AnswerBytes, arbiter.AnswerBytes + 1, 1400} {
		if err := unix.Sendto(stranger, make([]byte, n), 0, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			t.Fatal(err)
		}
	}
	read(t, c)
	if got := counters(c.Counters); got["bad_length"] != 3 || got["bad_magic"] != 1 || got["answered"] != 2 {
		t.Errorf("%v", got)
	}
}

func TestListenRefusals(t *testing.T) {
	s, _ := serve(t, anywhere)
	for _, c := range []struct {
		o    ServerOptions
		want string
	}{
		{ServerOptions{Listen: s.Addr()}, "stop what has the port"},
		{ServerOptions{Listen: netip.MustParseAddrPort("192.0.2.1:7500")}, "give this host the address"},
		{ServerOptions{Listen: netip.MustParseAddrPort("[::1]:7500")}, "want an IPv4 address"},
		{ServerOptions{Listen: anywhere, Groups: []Group{{"a", key}, {"b", key}}}, "a and b"},
	} {
		if _, err := Listen(c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v", c.o.Listen, err)
		}
	}
	if _, err := Dial(Options{Witness: netip.MustParseAddrPort("[::1]:7500"), TimeoutNs: 1, Node: 1}); err == nil {
		t.Error("IPv6")
	}
}

func TestPollingAllocatesNothing(t *testing.T) {
	s, _ := serve(t, anywhere)
	c := dial(t, s.Addr(), 0, 1)
	read(t, c)
	r := arbiter.Request{Self: 1}
	now := nowNs()
	if n := testing.AllocsPerRun(1000, func() {
		now++
		c.Swap(r, now)
		c.Poll(now)
		c.Read(now)
		c.Poll(now)
		c.State()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
