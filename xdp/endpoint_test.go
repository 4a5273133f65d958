package xdp

import (
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"

	"onebeat/xdp/frame"
)

// TestEndpointProgram runs the program on single packets. An empty XSKMAP
// slot would hide a redirect behind the fallback PASS, so here the fallback
// of the taken branch is patched to another verdict.
func TestEndpointProgram(t *testing.T) {
	needRoot(t)
	t.Run("plain", func(t *testing.T) { testEndpointProgram(t, 0) })
	t.Run("VLAN", func(t *testing.T) { testEndpointProgram(t, 77) })
}

func testEndpointProgram(t *testing.T, vlan frame.VLAN) {
	const taken = 1 // XDP_DROP: the slot is empty, so the fallback shows
	ip := [4]byte{192, 168, 77, 200}
	sockets, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.XSKMap, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer sockets.Close()
	ins := endpointProgram(sockets.FD(), vlan, frame.IPv4(ip), []uint16{4001, 50000})
	for i := range ins {
		if i+1 < len(ins) && ins[i+1].IsBuiltinCall() {
			ins[i].Constant = taken
		}
	}
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "Dual BSD/GPL", Instructions: ins})
	if err != nil {
		t.Fatal(err)
	}
	defer prog.Close()
	datagram := func(dst [4]byte, port uint16, change func(b []byte)) []byte {
		var headers frame.Template
		b := make([]byte, frame.HeaderBytes+16)
		headers.Put(b, &frame.Endpoint{IP: frame.IPv4([4]byte{1, 2, 3, 4})}, 99, &frame.Endpoint{IP: frame.IPv4(dst), Port: port}, 16)
		if change != nil {
			change(b)
		}
		return b
	}
	arp := make([]byte, 64)
	frame.PutARPRequest(arp, [6]byte{2}, [4]byte{1, 2, 3, 4}, ip)
	check := func(name string, b []byte, want uint32) {
		t.Helper()
		verdict, err := prog.Run(&ebpf.RunOptions{Data: b})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if verdict != want {
			t.Errorf("%s: verdict %d, want %d", name, verdict, want)
		}
	}
	in := func(vlan frame.VLAN, b []byte) []byte {
		tagged := append(append([]byte(nil), b...), make([]byte, vlan.Bytes())...)
		return tagged[:vlan.Tag(tagged, len(b))]
	}
	urgent := in(vlan, datagram(ip, 4001, nil))
	if vlan != 0 {
		urgent[14] |= 0xe0
	}
	for _, c := range []struct {
		name    string
		b       []byte
		verdict uint32
	}{
		{"first port", datagram(ip, 4001, nil), taken},
		{"second port", datagram(ip, 50000, nil), taken},
		{"other port", datagram(ip, 4002, nil), xdpPass},
		{"other address", datagram([4]byte{192, 168, 77, 201}, 4001, nil), xdpPass},
		{"ARP", arp, xdpPass},
		{"TCP", datagram(ip, 4001, func(b []byte) { b[23] = 6 }), xdpPass},
		{"IPv6", datagram(ip, 4001, func(b []byte) { b[12], b[13] = 0x86, 0xdd }), xdpPass},
		{"IP options", datagram(ip, 4001, func(b []byte) { b[14] = 0x46 }), xdpPass},
		{"first fragment", datagram(ip, 4001, func(b []byte) { b[20] = 0x20 }), xdpPass},
		{"later fragment", datagram(ip, 4001, func(b []byte) { b[20], b[21] = 0, 9 }), xdpPass},
		{"do not fragment", datagram(ip, 4001, func(b []byte) { b[20] = 0x40 }), taken},
		{"truncated", datagram(ip, 4001, nil)[:41], xdpPass},
		{"headers only", datagram(ip, 4001, nil)[:42], taken},
	} {
		check(c.name, in(vlan, c.b), c.verdict)
	}
	check("another VLAN", in(vlan+1, datagram(ip, 4001, nil)), xdpPass)
	check("a priority", urgent, taken)
	if vlan != 0 {
		check("no tag", datagram(ip, 4001, nil), xdpPass)
	}
}

func TestEndpointProgramIPv6(t *testing.T) {
	needRoot(t)
	for _, vlan := range []frame.VLAN{0, 77} {
		ip := frame.IP{0: 0xfd, 7: 0x80, 15: 200}
		sockets, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.XSKMap, KeySize: 4, ValueSize: 4, MaxEntries: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer sockets.Close()
		ins := endpointProgram(sockets.FD(), vlan, ip, []uint16{4001, 50000})
		const taken = 1 // as in testEndpointProgram
		for i := range ins {
			if i+1 < len(ins) && ins[i+1].IsBuiltinCall() {
				ins[i].Constant = taken
			}
		}
		prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "Dual BSD/GPL", Instructions: ins})
		if err != nil {
			t.Fatal(err)
		}
		defer prog.Close()
		datagram := func(dst frame.IP, port uint16, change func(b []byte)) []byte {
			var headers frame.Template
			b := make([]byte, frame.IPv6HeaderBytes+16)
			headers.Put(b, &frame.Endpoint{IP: frame.IP{0: 0xfd, 15: 1}}, 99, &frame.Endpoint{IP: dst, Port: port}, 16)
			change(b)
			return b
		}
		same := func([]byte) {}
		for _, c := range []struct {
			name    string
			b       []byte
			verdict uint32
		}{
			{"first port", datagram(ip, 4001, same), taken},
			{"second port", datagram(ip, 50000, same), taken},
			{"a traffic class", datagram(ip, 50000, func(b []byte) { b[14] = 0x6a }), taken},
			{"other port", datagram(ip, 4002, same), xdpPass},
			{"other host", datagram(frame.IP{0: 0xfd, 7: 0x80, 15: 201}, 4001, same), xdpPass},
			{"other network", datagram(frame.IP{0: 0xfd, 7: 0x81, 15: 200}, 4001, same), xdpPass},
			{"fragment", datagram(ip, 4001, func(b []byte) { b[20] = 44 }), xdpPass},
			{"ICMPv6", datagram(ip, 4001, func(b []byte) { b[20] = 58 }), xdpPass},
			{"version", datagram(ip, 4001, func(b []byte) { b[14] = 0x45 }), xdpPass},
			{"IPv4", datagram(ip, 4001, func(b []byte) { b[12], b[13] = 8, 0 }), xdpPass},
			{"truncated", datagram(ip, 4001, same)[:61], xdpPass},
			{"headers only", datagram(ip, 4001, same)[:62], taken},
		} {
			b := append(append([]byte(nil), c.b...), make([]byte, vlan.Bytes())...)
			verdict, err := prog.Run(&ebpf.RunOptions{Data: b[:vlan.Tag(b, len(c.b))]})
			if err != nil || verdict != c.verdict {
				t.Errorf("VLAN %d, %s: verdict %d, want %d (%v)", vlan, c.name, verdict, c.verdict, err)
			}
		}
	}
}

func TestEndpointErrors(t *testing.T) {
	l := newLab(t, 1)
	l.in(0, func() {
		iface, err := Inspect(labNames[0])
		l.must(err)
		if _, err := NewEndpoint(iface, ModeNative, labIPs[0]); err == nil {
			t.Error("no port accepted")
		}
		if _, err := NewEndpoint(iface, ModeNative, netip.Addr{}, 1); err == nil {
			t.Error("no address accepted")
		}
		e, err := NewEndpoint(iface, ModeNative, labIPs[0], 1)
		l.must(err)
		if err := e.Register(1, 0); err == nil {
			t.Error("queue out of range accepted")
		}
		if err := e.Register(0, 0); err == nil {
			t.Error("a descriptor that is no AF_XDP socket accepted")
		}
		l.must(e.Close())
		if l.attachedID(labNames[0]) != 0 {
			t.Error("still attached")
		}
	})
}
