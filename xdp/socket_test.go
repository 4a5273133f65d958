package xdp

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"onebeat/xdp/frame"
)

const (
	clientPort = 4001
	serverPort = 4002
)

// pair is a client and a server socket and what the client sends.
type pair struct {
	*lab
	client, server *Socket
	from, to       frame.Endpoint
	headers        frame.Template
}

func newPair(t testing.TB, o Options) *pair {
	t.Helper()
	l := newLab(t, 1)
	p := &pair{lab: l, client: l.endpoint(0, o, clientPort), server: l.endpoint(1, o, serverPort)}
	p.from = frame.Endpoint{MAC: p.client.Interface().MAC, IP: labIPs[0].As16(), Port: clientPort}
	p.to = frame.Endpoint{MAC: p.server.Interface().MAC, IP: labIPs[1].As16(), Port: serverPort}
	return p
}

// send queues one datagram with a number in it; false when the queue is full.
func (p *pair) send(number uint64) bool {
	b := p.client.Reserve()
	if b == nil {
		return false
	}
	p.headers.Put(b, &p.from, p.from.Port, &p.to, 8)
	binary.LittleEndian.PutUint64(b[frame.HeaderBytes:], number)
	p.client.Submit(frame.HeaderBytes + 8)
	return true
}

// number reads what send wrote.
func (p *pair) number(b []byte) uint64 {
	p.t.Helper()
	var from frame.Endpoint
	payload, _, ok := frame.Parse(b, &from)
	if !ok || len(payload) != 8 {
		p.t.Fatalf("received something else: %x", b)
	}
	return binary.LittleEndian.Uint64(payload)
}

func (p *pair) kick(s *Socket) {
	p.t.Helper()
	if errno := s.Kick(); errno != 0 {
		p.t.Fatalf("kick: %v", unix.Errno(errno))
	}
}

func TestSocketEchoInOrderPastRingWrap(t *testing.T) {
	p := newPair(t, Options{RxFrames: 64, TxFrames: 64})
	// The client sends as on a kernel that cannot be told a larger batch.
	if err := setTxBudget(p.client.fd, 32); err != nil && !errors.Is(err, unix.ENOPROTOOPT) {
		t.Fatal(err)
	}
	echo := Echo{Port: p.server}
	next := uint64(0)
	for round := range 100 { // 100 * 40 frames: every ring wraps 62 times
		for i := range 40 {
			if !p.send(uint64(round*40 + i)) {
				t.Fatal("no chunk to send in")
			}
		}
		p.kick(p.client)
		for echo.DoWork(0) > 0 {
		}
		for n := p.client.Recv(64); n > 0; n = p.client.Recv(64) {
			for i := range n {
				if got := p.number(p.client.Frame(i)); got != next {
					t.Fatalf("frame %d came back as %d", next, got)
				}
				next++
			}
			p.client.Done()
		}
	}
	if next != 4000 || echo.Echoed != 4000 || echo.Errno != 0 {
		t.Fatalf("%d of 4000 came back, %d echoed, errno %d", next, echo.Echoed, echo.Errno)
	}
	st := p.client.Stats()
	if st.Received != 4000 || st.Sent != 4000 || st.RxDropped+st.RxInvalid+st.TxInvalid+st.RxRingFull != 0 {
		t.Errorf("client counted %+v", st)
	}
	// 40 frames are more than a batch of 32: one retry a round.
	if st.Kicks != 200 || st.Retries != 100 {
		t.Errorf("%d kicks and %d retries for 100 batches of 40, want 200 and 100", st.Kicks, st.Retries)
	}
}

// TestSocketQueues runs two queues under one program: what arrives on a queue
// is that queue's socket's alone.
func TestSocketQueues(t *testing.T) {
	l := newLab(t, 2)
	var sockets [2][2]*Socket // by namespace, queue
	for i := range sockets {
		l.in(i, func() {
			iface, err := Inspect(labNames[i])
			l.must(err)
			e, err := NewEndpoint(iface, ModeNative, labIPs[i], clientPort, serverPort)
			l.must(err)
			t.Cleanup(func() { l.must(e.Close()) })
			for q := range sockets[i] {
				sockets[i][q], err = Open(Options{Interface: labNames[i], Queue: q, RxFrames: 64, TxFrames: 64})
				l.must(err)
				s := sockets[i][q]
				t.Cleanup(func() { l.must(s.Close()) })
				l.must(e.Register(q, s.FD()))
				if s.Queue() != q {
					t.Errorf("queue %d is %d", q, s.Queue())
				}
			}
		})
	}
	for q := range 2 {
		p := &pair{lab: l, client: sockets[0][q], server: sockets[1][q]}
		p.from = frame.Endpoint{MAC: p.client.Interface().MAC, IP: labIPs[0].As16(), Port: clientPort}
		p.to = frame.Endpoint{MAC: p.server.Interface().MAC, IP: labIPs[1].As16(), Port: serverPort}
		for i := range 50 {
			p.send(uint64(i))
			p.kick(p.client)
			if n := sockets[1][1-q].Recv(8); n != 0 {
				t.Fatalf("queue %d received what came on %d", 1-q, q)
			}
			if n := p.server.Recv(8); n != 1 || p.number(p.server.Frame(0)) != uint64(i) {
				t.Fatalf("queue %d: received %d", q, n)
			}
			p.server.Done()
		}
	}
}

func TestSocketTxFullAndRecovered(t *testing.T) {
	p := newPair(t, Options{RxFrames: 64, TxFrames: 16})
	sent := 0
	for p.send(uint64(sent)) {
		sent++
	}
	if sent != 16 || p.client.Stats().TxFull != 1 {
		t.Fatalf("%d chunks, %d refused, want 16 and 1", sent, p.client.Stats().TxFull)
	}
	if got := p.client.Stats().Sent; got != 0 {
		t.Fatalf("%d sent before the kick", got)
	}
	p.kick(p.client)
	if !p.send(99) {
		t.Fatal("still full after everything was sent")
	}
	if got := p.server.Recv(64); got != 16 {
		t.Fatalf("server received %d of 16", got)
	}
}

func TestSocketSendsABatchWithOneKick(t *testing.T) {
	p := newPair(t, Options{RxFrames: 256, TxFrames: 256})
	for i := range 200 {
		p.send(uint64(i))
	}
	p.kick(p.client)
	want := uint64(1)
	if setTxBudget(p.client.fd, 32) != nil {
		want = 7 // a kernel that always stops at 32
	}
	if k, n := p.client.Stats().Kicks, p.server.Recv(256); k != want || n != 200 {
		t.Fatalf("%d kicks for 200 frames, %d received, want %d and 200", k, n, want)
	}
}

func TestSocketReserveTwiceIsOneBuffer(t *testing.T) {
	p := newPair(t, Options{})
	a, b := p.client.Reserve(), p.client.Reserve()
	if &a[0] != &b[0] || len(a) != DefaultFrameBytes {
		t.Fatalf("two buffers, or %d bytes", len(a))
	}
}

func TestSocketCountsFramesWithoutChunk(t *testing.T) {
	p := newPair(t, Options{RxFrames: 16, TxFrames: 64})
	for i := range 40 {
		p.send(uint64(i))
	}
	p.kick(p.client)
	// The server kept 16 chunks; the other 24 frames found none.
	if n := p.server.Recv(64); n != 16 {
		t.Fatalf("received %d", n)
	}
	st := p.server.Stats()
	if st.RxDropped != 24 || st.FillEmpty == 0 {
		t.Errorf("dropped %d want 24, fill ring empty %d times", st.RxDropped, st.FillEmpty)
	}
	p.server.Done()
	p.send(40)
	p.kick(p.client)
	if n := p.server.Recv(64); n != 1 || p.number(p.server.Frame(0)) != 40 {
		t.Fatalf("after Done: received %d", n)
	}
}

func TestSocketRecvGivesBackWithoutDone(t *testing.T) {
	p := newPair(t, Options{RxFrames: 16, TxFrames: 16})
	for i := range 100 {
		p.send(uint64(i))
		p.kick(p.client)
		if n := p.server.Recv(1); n != 1 || p.number(p.server.Frame(0)) != uint64(i) {
			t.Fatalf("frame %d: received %d", i, n)
		}
	}
}

func TestSocketNeedWakeup(t *testing.T) {
	p := newPair(t, Options{})
	// Copy mode: tx always has to be kicked, fill never.
	if *p.client.tx.flags&unix.XDP_RING_NEED_WAKEUP == 0 || p.client.fill.wantsWakeup() || p.client.ZeroCopy() {
		t.Fatalf("tx flags %x, fill wants wakeup %t, zero-copy %t", *p.client.tx.flags, p.client.fill.wantsWakeup(), p.client.ZeroCopy())
	}
	p.kick(p.client) // nothing to send: no system call
	if k := p.client.Stats().Kicks; k != 0 {
		t.Fatalf("%d kicks with nothing to send", k)
	}
	// A driver that polls by itself clears the flag: then nobody may call it.
	var flags uint32
	kernelFlags := p.client.tx.flags
	p.client.tx.flags = &flags
	p.send(1)
	p.kick(p.client)
	if k := p.client.Stats().Kicks; k != 0 {
		t.Fatalf("%d kicks though the flag is clear", k)
	}
	p.client.tx.flags = kernelFlags
	p.kick(p.client)
	if k, n := p.client.Stats().Kicks, p.server.Recv(1); k != 1 || n != 1 {
		t.Fatalf("%d kicks, %d received, want 1 and 1", k, n)
	}
	// A zero-copy driver out of chunks sets the fill ring's flag: Recv calls it.
	flags = unix.XDP_RING_NEED_WAKEUP
	p.client.fill.flags = &flags
	p.client.Recv(1)
	if k := p.client.Stats().Kicks; k != 2 {
		t.Fatalf("%d kicks after an empty Recv with the fill flag set, want 2", k)
	}
}

func TestSocketWait(t *testing.T) {
	p := newPair(t, Options{})
	start := time.Now()
	p.server.Wait(20_000_000)
	if d := time.Since(start); d < 15*time.Millisecond || d > 500*time.Millisecond {
		t.Fatalf("waited %v for nothing, want 20 ms", d)
	}
	p.send(7)
	p.kick(p.client)
	start = time.Now()
	p.server.Wait(5_000_000_000)
	if d := time.Since(start); d > time.Second {
		t.Fatalf("waited %v though a frame is there", d)
	}
	done := make(chan struct{})
	p.server.Recv(1)
	p.server.Done()
	go func() { p.server.Wait(5_000_000_000); close(done) }()
	time.Sleep(20 * time.Millisecond)
	p.send(8)
	p.kick(p.client)
	select {
	case <-done:
	case <-time.After(time.Second):
		t.Fatal("a frame does not wake")
	}
}

func TestSocketRefusesBadAddresses(t *testing.T) {
	p := newPair(t, Options{RxFrames: 16, TxFrames: 16})
	p.send(1)
	p.kick(p.client)
	if p.server.Recv(1) != 1 {
		t.Fatal("nothing received")
	}
	d := &p.server.rx.desc[p.server.rx.next&p.server.rx.mask]
	good := *d
	for _, bad := range []unix.XDPDesc{
		{Addr: p.server.umem.rxBytes, Len: 64},     // the sending half
		{Addr: good.Addr, Len: 4096},               // across a chunk
		{Addr: ^uint64(0) - 10, Len: 64},           // wraps
		{Addr: 1 << 40, Len: 64},                   // outside
		{Addr: p.server.umem.rxBytes - 8, Len: 64}, // over the edge
	} {
		*d = bad
		if b := p.server.Frame(0); b != nil {
			t.Errorf("%+v gave %d bytes", bad, len(b))
		}
	}
	if got := p.server.Stats().RxInvalid; got != 5 {
		t.Errorf("%d counted, want 5", got)
	}
	before := p.server.fill.next
	d.Addr = 1 << 40
	p.server.Done()
	if p.server.fill.next != before {
		t.Error("a foreign address went into the fill ring")
	}
	c := &p.client.completion
	c.addr[c.next&c.mask] = 12345
	free := c.freeCount
	c.reap(&p.client.umem)
	if c.invalid != 1 || c.freeCount != free {
		t.Errorf("%d invalid, %d new chunks", c.invalid, c.freeCount-free)
	}
}

func TestSocketHotPathDoesNotAllocate(t *testing.T) {
	p := newPair(t, Options{})
	echo := Echo{Port: p.server}
	allocs := testing.AllocsPerRun(1000, func() {
		p.send(1)
		p.client.Kick()
		echo.DoWork(0)
		if p.client.Recv(16) == 1 {
			_ = p.client.Frame(0)
		}
		p.client.Done()
		p.client.Stats()
	})
	if allocs != 0 || echo.Echoed < 1000 {
		t.Fatalf("%v allocations a round trip, %d echoed", allocs, echo.Echoed)
	}
}

func TestSocketKickReportsLostDevice(t *testing.T) {
	p := newPair(t, Options{})
	p.in(0, func() {
		dev, err := netlink.LinkByName(labNames[0])
		p.must(err)
		p.must(netlink.LinkSetDown(dev))
	})
	p.send(1)
	if errno := unix.Errno(p.client.Kick()); errno != unix.ENETDOWN {
		t.Fatalf("interface down: %v", errno)
	}
	p.in(0, func() {
		dev, err := netlink.LinkByName(labNames[0])
		p.must(err)
		p.must(netlink.LinkDel(dev))
	})
	time.Sleep(50 * time.Millisecond)
	if errno := unix.Errno(p.client.Kick()); errno != unix.ENXIO && errno != unix.ENETDOWN {
		t.Fatalf("interface gone: %v", errno)
	}
}

func TestSocketReopensAtOnce(t *testing.T) {
	l := newLab(t, 1)
	for i := range 5 {
		l.in(0, func() {
			s, err := OpenEndpoint(Options{Interface: labNames[0]}, labIPs[0], clientPort)
			if err != nil {
				t.Fatalf("opening %d: %v", i, err)
			}
			if err := s.Close(); err != nil {
				t.Fatalf("closing %d: %v", i, err)
			}
			if err := s.Close(); err != nil {
				t.Fatalf("closing twice: %v", err)
			}
		})
	}
	mapped, err := socketMappings()
	if err != nil || len(mapped) != 0 {
		t.Fatalf("sockets still mapped: %v, %v", mapped, err)
	}
}

func TestSocketErrors(t *testing.T) {
	l := newLab(t, 1)
	l.in(0, func() {
		for _, c := range []struct {
			o    Options
			want error
		}{
			{Options{Interface: "ob9"}, ErrNoInterface},
			{Options{Interface: labNames[0], Queue: 1}, ErrQueueRange},
			{Options{Interface: labNames[0], Queue: -1}, ErrQueueRange},
			{Options{Interface: labNames[0], ZeroCopy: ZeroCopyRequired}, ErrNoZeroCopy},
		} {
			s, err := Open(c.o)
			var r *Refusal
			if !errors.Is(err, c.want) || !errors.As(err, &r) || r.Remedy == "" {
				t.Errorf("%+v: %v", c.o, err)
			}
			if s != nil {
				s.Close()
			}
		}
		for _, o := range []Options{{RxFrames: 3}, {TxFrames: 1 << 17}, {FrameBytes: 1000}} {
			o.Interface = labNames[0]
			if _, err := Open(o); err == nil {
				t.Errorf("%+v accepted", o)
			}
		}
		held, err := Open(Options{Interface: labNames[0]})
		l.must(err)
		defer held.Close()
		if _, err := Open(Options{Interface: labNames[0]}); !errors.Is(err, ErrQueueBusy) {
			t.Errorf("second socket on a queue: %v", err)
		}
		dev, err := netlink.LinkByName(labNames[0])
		l.must(err)
		l.must(netlink.LinkSetDown(dev))
		if _, err := Open(Options{Interface: labNames[0]}); !errors.Is(err, ErrInterfaceDown) {
			t.Errorf("interface down: %v", err)
		}
	})
	if mapped, err := socketMappings(); err != nil || len(mapped) != 0 {
		t.Errorf("a refused socket stays mapped: %v, %v", mapped, err)
	}
}
