package xdp

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"onebeat/xdp/frame"
)

var loopback = netip.MustParseAddr("127.0.0.1")

func listen(t *testing.T, ports ...uint16) *UDPSocket {
	t.Helper()
	return listenAt(t, loopback, ports...)
}

func listenAt(t *testing.T, ip netip.Addr, ports ...uint16) *UDPSocket {
	t.Helper()
	u, err := ListenUDP(ip, ports...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := u.Close(); err != nil {
			t.Error(err)
		}
	})
	return u
}

// sendUDP queues one datagram from local port i of u to a port.
func sendUDP(t *testing.T, u *UDPSocket, i int, port uint16, payload []byte) {
	t.Helper()
	b := u.Reserve()
	if b == nil {
		t.Fatal("no buffer")
	}
	from, to := u.Local(), frame.Endpoint{IP: u.Local().IP, Port: port}
	var headers frame.Template
	headers.Put(b, &from, u.Ports()[i], &to, len(payload))
	u.Submit(u.headerBytes + copy(b[u.headerBytes:], payload))
}

func TestUDPEchoOverSeveralPorts(t *testing.T) {
	for name, ip := range map[string]netip.Addr{"IPv4": loopback, "IPv6": netip.IPv6Loopback()} {
		t.Run(name, func(t *testing.T) { echoOverUDP(t, ip) })
	}
}

func echoOverUDP(t *testing.T, ip netip.Addr) {
	server, client := listenAt(t, ip, 0, 0), listenAt(t, ip, 0)
	echo := Echo{Port: server}
	for round := range 50 {
		lane := round % 2 // the lane's order port, its venue port
		payload := []byte{byte(round), 1, 2}
		sendUDP(t, client, 0, server.Ports()[lane], payload)
		if errno := client.Kick(); errno != 0 {
			t.Fatal(unix.Errno(errno))
		}
		if n := echo.DoWork(0); n != 1 {
			t.Fatalf("round %d: server saw %d", round, n)
		}
		client.Wait(int64(time.Second))
		if n := client.Recv(8); n != 1 {
			t.Fatalf("round %d: client saw %d", round, n)
		}
		var from frame.Endpoint
		got, port, ok := frame.Parse(client.Frame(0), &from)
		if !ok || !bytes.Equal(got, payload) || port != client.Ports()[0] ||
			from.Port != server.Ports()[lane] || from.IP != ip.As16() || from.MAC != StandInMAC(ip.As16()) {
			t.Fatalf("round %d: %v %x from %+v to %d", round, ok, got, from, port)
		}
		client.Done()
	}
	if st := server.Stats(); st.Received != 50 || st.Sent != 50 || st.TxInvalid+st.RxInvalid != 0 {
		t.Errorf("%+v", st)
	}
}

func TestUDPTxFullRefusedAndDropped(t *testing.T) {
	a, b := listen(t, 0), listen(t, 0)
	for range udpFrames {
		sendUDP(t, a, 0, b.Ports()[0], []byte("x"))
	}
	if a.Reserve() != nil || a.Stats().TxFull != 1 {
		t.Fatal("a 65th frame fits")
	}
	if errno := a.Kick(); errno != 0 || a.Stats().Sent != udpFrames || a.Reserve() == nil {
		t.Fatalf("%v, %+v", unix.Errno(errno), a.Stats())
	}
	total := 0
	for n := b.Recv(10); n > 0; n = b.Recv(10) {
		if n > 10 {
			t.Fatalf("received %d, asked for 10", n)
		}
		total += n
		b.Done()
	}
	if total != udpFrames {
		t.Errorf("%d of %d arrived", total, udpFrames)
	}
	// a source port that is not ours, a frame without headers, port 0
	buf := a.Reserve()
	var headers frame.Template
	from, to := a.Local(), b.Local()
	headers.Put(buf, &from, 1, &to, 4)
	a.Submit(frame.HeaderBytes + 4)
	a.Reserve()
	a.Submit(10)
	sendUDP(t, a, 0, 0, []byte("x"))
	if errno := a.Kick(); errno != 0 || a.Stats().TxInvalid != 3 {
		t.Errorf("%v, %+v", unix.Errno(errno), a.Stats())
	}
	// nobody listens: the refusal that comes back stops nothing
	gone := listen(t, 0)
	port := gone.Ports()[0]
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		sendUDP(t, a, 0, port, []byte("x"))
		if errno := a.Kick(); errno != 0 {
			t.Fatal(unix.Errno(errno))
		}
		a.Recv(1)
	}
	// longer than a frame: dropped and counted as a NIC would
	raw, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(raw)
	for _, lengthBytes := range []int{3000, 5} {
		if err := unix.Sendto(raw, make([]byte, lengthBytes), 0, &unix.SockaddrInet4{Port: int(b.Ports()[0]), Addr: loopback.As4()}); err != nil {
			t.Fatal(err)
		}
	}
	if n := b.Recv(10); n != 1 || b.Stats().RxInvalid != 1 {
		t.Errorf("received %d, %+v", n, b.Stats())
	}
}

func TestUDPCountsWhatFoundNoRoom(t *testing.T) {
	a, b := listen(t, 0), listen(t, 0)
	payload := make([]byte, 1400)
	for range 50 { // 4.5 MB into a buffer of at most 2
		for range udpFrames {
			sendUDP(t, a, 0, b.Ports()[0], payload)
		}
		if errno := a.Kick(); errno != 0 {
			t.Fatal(unix.Errno(errno))
		}
	}
	for n := b.Recv(udpFrames); n > 0; n = b.Recv(udpFrames) {
		b.Done()
	}
	st := b.Stats()
	if st.RxDropped == 0 || st.Received+st.RxDropped != 50*udpFrames {
		t.Errorf("%d received, %d dropped of %d", st.Received, st.RxDropped, 50*udpFrames)
	}
}

func TestUDPWait(t *testing.T) {
	a, b := listen(t, 0), listen(t, 0, 0)
	start := time.Now()
	b.Wait(20_000_000)
	if d := time.Since(start); d < 15*time.Millisecond || d > time.Second {
		t.Fatalf("waited %v", d)
	}
	sendUDP(t, a, 0, b.Ports()[1], []byte("x")) // the second socket wakes too
	a.Kick()
	start = time.Now()
	b.Wait(-1)
	fds := []unix.PollFd{{Fd: int32(b.FD()), Events: unix.POLLIN}}
	if n, err := unix.Poll(fds, 0); n != 1 || err != nil || time.Since(start) > time.Second {
		t.Fatalf("poll: %d %v after %v", n, err, time.Since(start))
	}
}

func TestUDPDoesNotAllocate(t *testing.T) {
	server, client := listen(t, 0), listen(t, 0)
	echo := Echo{Port: server}
	from, to := client.Local(), server.Local()
	var headers frame.Template
	allocs := testing.AllocsPerRun(500, func() {
		b := client.Reserve()
		headers.Put(b, &from, from.Port, &to, 64)
		client.Submit(frame.HeaderBytes + 64)
		client.Kick()
		echo.DoWork(0)
		if client.Recv(4) > 0 {
			_ = client.Frame(0)
		}
		client.Done()
	})
	if allocs != 0 || echo.Echoed < 500 {
		t.Fatalf("%v allocations, %d echoed", allocs, echo.Echoed)
	}
}

func TestUDPErrors(t *testing.T) {
	taken := listen(t, 0)
	for _, c := range []struct {
		ip    netip.Addr
		ports []uint16
		want  error
	}{
		{netip.MustParseAddr("192.0.2.1"), []uint16{0}, ErrNoAddress},
		{loopback, []uint16{0, taken.Ports()[0]}, ErrQueueBusy},
	} {
		if _, err := ListenUDP(c.ip, c.ports...); !errors.Is(err, c.want) {
			t.Errorf("%v %v: %v", c.ip, c.ports, err)
		}
	}
	if _, err := ListenUDP(netip.IPv4Unspecified(), 1); err == nil {
		t.Error("0.0.0.0 accepted")
	}
	if _, err := ListenUDP(loopback); err == nil {
		t.Error("no port accepted")
	}
}
