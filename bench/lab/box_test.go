package lab_test

import (
	"encoding/binary"
	"net"
	"testing"
	"time"

	"onebeat/bench/lab"
	"onebeat/bench/lab/labtest"
	"onebeat/bpf"
)

// sockets opens a sender and a receiver of datagrams.
func sockets(t *testing.T, l *lab.Lab, from, to string, ip [4]byte) (tx, rx *net.UDPConn) {
	t.Helper()
	err := l.Do(to, func() (err error) {
		rx, err = net.ListenUDP("udp4", &net.UDPAddr{IP: ip[:], Port: 5000})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rx.Close() })
	err = l.Do(from, func() (err error) {
		tx, err = net.DialUDP("udp4", nil, &net.UDPAddr{IP: ip[:], Port: 5000})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tx.Close() })
	return tx, rx
}

// lengthOf gives datagrams different lengths, so that a frame that becomes
// another one must grow or shrink.
func lengthOf(i int) int { return 20 + i*37%900 }

// send numbers datagrams and returns the numbers that arrive, in order.
func send(t *testing.T, tx, rx *net.UDPConn, count int) []uint32 {
	t.Helper()
	arrived := make(chan []uint32)
	rx.SetReadDeadline(time.Time{})
	go func() { arrived <- receive(t, rx) }()
	for i := range count {
		b := make([]byte, lengthOf(i))
		binary.LittleEndian.PutUint32(b, uint32(i))
		for k := 4; k < len(b); k++ {
			b[k] = byte(i + k)
		}
		if _, err := tx.Write(b); err != nil {
			t.Error(err)
		}
		time.Sleep(50 * time.Microsecond)
	}
	rx.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	return <-arrived
}

func receive(t *testing.T, rx *net.UDPConn) (got []uint32) {
	b := make([]byte, 2048)
	for {
		n, err := rx.Read(b)
		if err != nil {
			return got
		}
		i := int(binary.LittleEndian.Uint32(b))
		if n != lengthOf(i) {
			t.Errorf("datagram %d has %d bytes, want %d", i, n, lengthOf(i))
		}
		for k := 4; k < n; k++ {
			if b[k] != byte(i+k) {
				t.Errorf("datagram %d is not what was sent", i)
				break
			}
		}
		got = append(got, uint32(i))
	}
}

func up(t *testing.T, spec lab.Spec) *lab.Lab {
	t.Helper()
	labtest.NeedRoot(t)
	l, err := lab.Up(spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Down(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func TestFaultBox(t *testing.T) {
	l := up(t, lab.Spec{FaultBox: true})
	ping(t, l, lab.Client, lab.NodeA, lab.NodeAIP)
	ping(t, l, lab.NodeA, lab.NodeB, lab.NodeBLinkIP)
	ping(t, l, lab.NodeB, lab.Witness, lab.WitnessIP)
	const count = 400
	tx, rx := sockets(t, l, lab.NodeA, lab.NodeB, lab.NodeBLinkIP)
	set := func(f bpf.Fault) {
		t.Helper()
		f.Kinds |= bpf.FaultDatagrams // ARP and the like stay sound
		if err := l.SetFault(lab.NodeA, lab.LinkNIC, lab.Out, f); err != nil {
			t.Fatal(err)
		}
	}
	set(bpf.Fault{Seed: 1, Loss: bpf.FaultScale / 4})
	if n := len(send(t, tx, rx, count)); n < count*65/100 || n > count*85/100 {
		t.Errorf("of %d datagrams with a loss of 25%% %d arrived", count, n)
	}
	set(bpf.Fault{Twice: bpf.FaultScale})
	if got := send(t, tx, rx, count); len(got) != 2*count {
		t.Errorf("of %d doubled datagrams %d arrived", count, len(got))
	}
	set(bpf.Fault{Hold: bpf.FaultScale / 10, HoldFrames: 3})
	got := send(t, tx, rx, count)
	late := 0
	for i := 1; i < len(got); i++ {
		if got[i] < got[i-1] {
			late++
		}
	}
	if late < count/50 || len(got) < count-1 {
		t.Errorf("of %d datagrams %d arrived, %d of them late", count, len(got), late)
	}
	set(bpf.Fault{Corrupt: bpf.FaultScale})
	if got := send(t, tx, rx, count); len(got) > count/10 {
		t.Errorf("%d corrupted datagrams passed the checksum", len(got))
	}
	box, err := l.Fault(lab.NodeB, lab.LinkNIC, lab.In) // the same one, seen from the other end
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	if c, err := box.Counts(); err != nil || c.Failed != 0 || c.Lost == 0 || c.Doubled != count || c.Held == 0 || c.Held-c.Released > 1 || c.Corrupted != count {
		t.Errorf("counts %+v, %v", c, err)
	}
	set(bpf.Fault{})
	if got := send(t, tx, rx, count); len(got) < count || len(got) > count+1 {
		t.Errorf("a sound cable let %d of %d through", len(got), count)
	}
}

// TestFaultBoxIsOneWay: the other direction and other cables are not touched.
func TestFaultBoxIsOneWay(t *testing.T) {
	l := up(t, lab.Spec{FaultBox: true})
	cut := bpf.Fault{Kinds: bpf.FaultAll, Loss: bpf.FaultScale}
	ping(t, l, lab.NodeA, lab.NodeB, lab.NodeBLinkIP) // neighbours know each other
	if err := l.SetFault(lab.NodeA, lab.LinkNIC, lab.Out, cut); err != nil {
		t.Fatal(err)
	}
	ping(t, l, lab.NodeB, lab.NodeA, lab.NodeALinkIP)
	ping(t, l, lab.NodeA, lab.NodeB, lab.NodeBIP)
	tx, rx := sockets(t, l, lab.NodeA, lab.NodeB, lab.NodeBLinkIP)
	if got := send(t, tx, rx, 20); len(got) != 0 {
		t.Errorf("%d datagrams came through a cut cable", len(got))
	}
}

func TestPull(t *testing.T) {
	l := up(t, lab.Spec{FaultBox: true})
	for _, nic := range []string{lab.LinkNIC, lab.OrderNIC} {
		if err := l.Pull(lab.NodeB, nic, true); err != nil {
			t.Fatal(err)
		}
		carrier(t, l, lab.NodeB, nic, "down")
		if nic == lab.LinkNIC {
			carrier(t, l, lab.NodeA, nic, "down")
		}
		if err := l.Pull(lab.NodeB, nic, false); err != nil {
			t.Fatal(err)
		}
		carrier(t, l, lab.NodeB, nic, "up")
	}
	ping(t, l, lab.NodeA, lab.NodeB, lab.NodeBLinkIP)
	ping(t, l, lab.Client, lab.NodeB, lab.NodeBIP)
	if err := labtest.Up(t, lab.Pair).Pull(lab.NodeA, lab.LinkNIC, true); err == nil {
		t.Error("a cable without box was pulled")
	}
}
