package frame

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"
)

var (
	src = Endpoint{MAC: [6]byte{2, 0, 0, 0, 0, 1}, IP: IPv4([4]byte{192, 168, 0, 1}), Port: 4001}
	dst = Endpoint{MAC: [6]byte{2, 0, 0, 0, 0, 2}, IP: IPv4([4]byte{192, 168, 0, 2}), Port: 50000}
)

// datagram is a frame from src to dst.
func datagram(payload string) []byte {
	var t Template
	b := make([]byte, HeaderBytes+len(payload))
	copy(b[HeaderBytes:], payload)
	t.Put(b, &src, src.Port, &dst, len(payload))
	return b
}

func TestPut(t *testing.T) {
	const want = "020000000002" + "020000000001" + "0800" +
		"4500" + "001f" + "0001" + "4000" + "4011" + "b979" + "c0a80001" + "c0a80002" +
		"0fa1" + "c350" + "000b" + "0000" + "616263"
	got := datagram("abc")
	if hex.EncodeToString(got) != want {
		t.Errorf("have %x\nwant %s", got, want)
	}
	// a receiver sums header and checksum to all ones
	if sum := headerSum(got[offIP : offIP+ipv4Bytes]); sum != 0 {
		t.Errorf("checksum leaves %x", sum)
	}
}

func TestParse(t *testing.T) {
	change := func(f func(b []byte)) []byte { b := datagram("abcdef"); f(b); return b }
	for _, c := range []struct {
		name string
		b    []byte
		ok   bool
	}{
		{"whole", datagram("abcdef"), true},
		{"padded by Ethernet", append(datagram("abcdef"), 0, 0, 0), true},
		{"empty payload", datagram(""), true},
		{"empty", nil, false},
		{"headers cut", datagram("")[:41], false},
		{"payload cut", datagram("abcdef")[:47], false},
		{"ARP", change(func(b []byte) { b[13] = 6 }), false},
		{"IP options", change(func(b []byte) { b[14] = 0x46 }), false},
		{"IPv6 version", change(func(b []byte) { b[14] = 0x65 }), false},
		{"TCP", change(func(b []byte) { b[23] = 6 }), false},
		{"first fragment", change(func(b []byte) { b[20] = 0x20 }), false},
		{"later fragment", change(func(b []byte) { b[21] = 1 }), false},
		{"UDP shorter than its header", change(func(b []byte) { b[39] = 7 }), false},
		{"UDP shorter than IP", change(func(b []byte) { b[39]-- }), false},
		{"UDP longer than IP", change(func(b []byte) { b[39]++ }), false},
		{"IP beyond the frame", change(func(b []byte) { b[17]++; b[39]++ }), false},
	} {
		var from Endpoint
		payload, port, ok := Parse(c.b, &from)
		if ok != c.ok {
			t.Errorf("%s: %v", c.name, ok)
			continue
		}
		if ok && (!strings.HasPrefix("abcdef", string(payload)) || port != dst.Port || from != src) {
			t.Errorf("%s: %q to %d from %+v", c.name, payload, port, from)
		}
	}
}

func TestReflect(t *testing.T) {
	b := datagram("abc")
	if !Reflect(b) {
		t.Fatal("refused")
	}
	var from Endpoint
	payload, port, ok := Parse(b, &from)
	if !ok || string(payload) != "abc" || from != dst || port != src.Port || !bytes.Equal(b[:6], src.MAC[:]) {
		t.Errorf("%v %q from %+v to %d", ok, payload, from, port)
	}
	if headerSum(b[offIP:offIP+ipv4Bytes]) != 0 {
		t.Error("checksum broken")
	}
	if ip, port, own := Destination(b); ip != src.IP || port != src.Port || own != dst.Port {
		t.Errorf("goes to %v:%d from port %d", ip, port, own)
	}
	Reflect(b)
	if !bytes.Equal(b, datagram("abc")) {
		t.Error("twice is not the same frame")
	}
	arp := make([]byte, ARPBytes)
	PutGratuitousARP(arp, src.MAC, src.IP.As4())
	before := bytes.Clone(arp)
	if Reflect(arp) || Reflect(nil) || !bytes.Equal(arp, before) {
		t.Error("turned something else round")
	}
}

func TestARP(t *testing.T) {
	const head = "ffffffffffff" + "020000000001" + "0806" + "0001" + "0800" + "0604"
	b := make([]byte, 60)
	var a ARP
	for _, c := range []struct {
		name  string
		bytes int
		want  string
		arp   ARP
	}{
		{"gratuitous", PutGratuitousARP(b, src.MAC, src.IP.As4()), head + "0001" + "020000000001" + "c0a80001" + "000000000000" + "c0a80001",
			ARP{ARPRequest, src.MAC, src.IP.As4(), [6]byte{}, src.IP.As4()}},
	} {
		if got := hex.EncodeToString(b[:c.bytes]); got != c.want {
			t.Errorf("%s: %s", c.name, got)
		}
		if !ParseARP(b, &a) || a != c.arp {
			t.Errorf("%s: parsed %+v", c.name, a)
		}
	}
	if n := PutARPRequest(b, src.MAC, src.IP.As4(), dst.IP.As4()); n != ARPBytes || !ParseARP(b, &a) ||
		a != (ARP{ARPRequest, src.MAC, src.IP.As4(), [6]byte{}, dst.IP.As4()}) || b[0] != 0xff {
		t.Errorf("request: %+v", a)
	}
	if n := PutARPReply(b, src.MAC, src.IP.As4(), dst.MAC, dst.IP.As4()); n != ARPBytes || !ParseARP(b, &a) ||
		a != (ARP{ARPReply, src.MAC, src.IP.As4(), dst.MAC, dst.IP.As4()}) || !bytes.Equal(b[:6], dst.MAC[:]) {
		t.Errorf("reply: %+v", a)
	}
	for name, at := range map[string]int{"ether type": 13, "hardware": 15, "protocol": 17, "hardware size": 18, "protocol size": 19, "operation": 21} {
		PutARPRequest(b, src.MAC, src.IP.As4(), dst.IP.As4())
		b[at] ^= 0x40
		if ParseARP(b, &a) {
			t.Errorf("%s: accepted", name)
		}
	}
	PutARPRequest(b, src.MAC, src.IP.As4(), dst.IP.As4())
	if ParseARP(b[:ARPBytes-1], &a) || ParseARP(nil, &a) {
		t.Error("cut: accepted")
	}
}

func TestNothingAllocates(t *testing.T) {
	b := datagram("abc")
	arp := make([]byte, ARPBytes)
	var headers Template
	var from Endpoint
	var a ARP
	if n := testing.AllocsPerRun(100, func() {
		headers.Put(b, &src, src.Port, &dst, 3)
		Parse(b, &from)
		Reflect(b)
		Destination(b)
		PutGratuitousARP(arp, src.MAC, src.IP.As4())
		ParseARP(arp, &a)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestImportsArePure(t *testing.T) {
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range tree.Imports {
			if p := i.Path.Value; p != `"encoding/binary"` && p != `"math/bits"` {
				t.Errorf("%s imports %s", f.Name(), i.Path.Value)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(datagram("abc"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var from Endpoint
		payload, port, ok := Parse(b, &from)
		if !ok {
			return
		}
		if len(payload) > len(b)-HeaderBytes {
			t.Fatalf("%d bytes of payload in a frame of %d", len(payload), len(b))
		}
		turned := bytes.Clone(b)
		if !Reflect(turned) {
			t.Fatal("parsed but not reflected")
		}
		var back Endpoint
		again, backPort, ok := Parse(turned, &back)
		if !ok || !bytes.Equal(again, payload) || backPort != from.Port || back.Port != port {
			t.Fatalf("reflected: %v from %+v to %d", ok, back, backPort)
		}
	})
}

func FuzzParseARP(f *testing.F) {
	b := make([]byte, ARPBytes)
	PutARPRequest(b, src.MAC, src.IP.As4(), dst.IP.As4())
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var a ARP
		if !ParseARP(b, &a) {
			return
		}
		again := make([]byte, ARPBytes)
		putARP(again, [6]byte(b[:6]), &a)
		copy(again[offEtherSrc:], b[offEtherSrc:offEtherSrc+6])
		if !bytes.Equal(again, b[:ARPBytes]) {
			t.Fatalf("%x\nis rebuilt as %x", b[:ARPBytes], again)
		}
	})
}

// headerSum is the Internet checksum (RFC 1071), 0 over a header that holds its
// own.
func headerSum(h []byte) uint16 {
	sum := uint32(0)
	for i := 0; i+1 < len(h); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(h[i:]))
	}
	sum = sum&0xffff + sum>>16
	sum = sum&0xffff + sum>>16
	return ^uint16(sum)
}
