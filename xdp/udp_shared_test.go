package xdp

import (
	"net/netip"
	"testing"

	"onebeat/xdp/frame"
)

// The kernel sorts datagrams by a byte of their payload, without privileges.
func TestUDPSharedPort(t *testing.T) {
	ip := netip.MustParseAddr("127.0.0.1")
	probe, err := ListenUDP(ip, 0)
	if err != nil {
		t.Fatal(err)
	}
	port := probe.Ports()[0]
	if err := probe.Close(); err != nil {
		t.Fatal(err)
	}
	keys := []byte{5, 0, 9}
	sockets, err := ListenUDPShared(ip, port, 2, keys)
	if err != nil {
		t.Fatal(err)
	}
	client, err := ListenUDP(ip, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range append(sockets, client) {
		defer u.Close()
	}
	from, to := client.Local(), frame.Endpoint{MAC: StandInMAC(ip.As16()), IP: ip.As16(), Port: port}
	var headers frame.Template
	for round := range 50 {
		for _, key := range []byte{5, 0, 9, 77} {
			b := client.Reserve()
			headers.Put(b, &from, from.Port, &to, 3)
			b[frame.HeaderBytes], b[frame.HeaderBytes+1], b[frame.HeaderBytes+2] = byte(round), 0, key
			client.Submit(frame.HeaderBytes + 3)
			client.Kick()
		}
		own, strange := 0, 0
		for i, u := range sockets {
			u.Wait(1e6)
			n := u.Recv(8)
			for j := range n {
				payload := u.Frame(j)[frame.HeaderBytes:]
				switch payload[2] {
				case keys[i]:
					own++
				case 77:
					strange++
				default:
					t.Fatalf("user %d got what is %d's", keys[i], payload[2])
				}
				if payload[0] != byte(round) {
					t.Fatalf("round %d: got one of %d", round, payload[0])
				}
			}
			u.Done()
		}
		if own != 3 || strange != 1 {
			t.Fatalf("round %d: %d came to whom they were for, %d strange", round, own, strange)
		}
	}
	if _, err := ListenUDP(ip, port); err == nil {
		t.Error("a shared port was taken by one that does not share")
	}
	alone, err := ListenUDPShared(ip, 0, 2, []byte{1})
	if err != nil || len(alone) != 1 {
		t.Fatalf("%d sockets, %v", len(alone), err)
	}
	if err := alone[0].Close(); err != nil {
		t.Error(err)
	}
}
