package frame

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"testing"
)

var (
	src6 = Endpoint{MAC: src.MAC, IP: IP{0: 0xfd, 15: 1}, Port: 4001}
	dst6 = Endpoint{MAC: dst.MAC, IP: IP{0: 0xfd, 7: 3, 15: 2}, Port: 50000}
)

// datagram6 is a frame from src6 to dst6, its checksum as Put leaves it.
func datagram6(payload string) []byte {
	var t Template
	b := make([]byte, IPv6HeaderBytes+len(payload))
	copy(b[IPv6HeaderBytes:], payload)
	t.Put(b, &src6, src6.Port, &dst6, len(payload))
	return b
}

// summed6 is datagram6 with a whole checksum.
func summed6(r *rand.Rand, payloadBytes int) []byte {
	var t Template
	b := make([]byte, IPv6HeaderBytes+payloadBytes)
	for i := range payloadBytes {
		b[IPv6HeaderBytes+i] = byte(r.Uint32())
	}
	t.PutSummed(b, &src6, src6.Port, &dst6, payloadBytes)
	return b
}

func TestPutIPv6(t *testing.T) {
	const want = "020000000002" + "020000000001" + "86dd" +
		"60000000" + "000b" + "11" + "40" + "fd000000000000000000000000000001" + "fd000000000000030000000000000002" +
		"0fa1" + "c350" + "000b"
	got := datagram6("abc")
	if hex.EncodeToString(got[:60]) != want || string(got[IPv6HeaderBytes:]) != "abc" {
		t.Errorf("have %x\nwant %s", got, want)
	}
	if src.IP.HeaderBytes() != HeaderBytes || src6.IP.HeaderBytes() != IPv6HeaderBytes {
		t.Error("lengths of headers")
	}
	r := rand.New(rand.NewPCG(1, 6))
	for n := range 300 {
		b := summed6(r, n)
		pseudo := append(append([]byte{}, b[offIPv6Src:offIPv6UDP]...), 0, 0, byte((8+n)>>8), byte(8+n), 0, 0, 0, protocolUDP)
		if sum := slowSum(append(pseudo, b[offIPv6UDP:]...)); sum != 0xffff {
			t.Fatalf("payload of %d bytes: sums to %x", n, sum)
		}
	}
}

func TestParseIPv6(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 6))
	change := func(f func(b []byte)) []byte { b := summed6(r, 6); f(b); return b }
	for _, c := range []struct {
		name string
		b    []byte
		ok   bool
	}{
		{"whole", summed6(r, 6), true},
		{"left to a NIC", datagram6("abcdef"), true},
		{"traffic class and flow label", change(func(b []byte) { b[14], b[15], b[17] = 0x6f, 0x12, 9 }), true},
		{"padded", append(summed6(r, 6), 0, 0, 0), true},
		{"empty payload", datagram6(""), true},
		{"headers cut", datagram6("")[:61], false},
		{"an IPv4 frame's length", datagram6("")[:50], false},
		{"payload cut", datagram6("abcdef")[:67], false},
		{"IPv4 version", change(func(b []byte) { b[14] = 0x45 }), false},
		{"TCP", change(func(b []byte) { b[20] = 6 }), false},
		{"hop-by-hop options", change(func(b []byte) { b[20] = 0 }), false},
		{"fragment", change(func(b []byte) { b[20] = 44 }), false},
		{"no checksum", change(func(b []byte) { b[60], b[61] = 0, 0 }), false},
		{"UDP shorter than its header", change(func(b []byte) { b[59], b[19] = 7, 7 }), false},
		{"UDP shorter than IP", change(func(b []byte) { b[59]-- }), false},
		{"IP beyond the frame", change(func(b []byte) { b[19]++; b[59]++ }), false},
	} {
		var from Endpoint
		payload, port, ok := Parse(c.b, &from)
		if ok != c.ok {
			t.Errorf("%s: %v", c.name, ok)
			continue
		}
		if ok && (len(payload) > 6 || port != dst6.Port || from != src6) {
			t.Errorf("%s: %q to %d from %+v", c.name, payload, port, from)
		}
	}
	b := summed6(r, 33)
	var from Endpoint
	for bit := offIPv6Src * 8; bit < len(b)*8; bit++ {
		b[bit/8] ^= 1 << (bit % 8)
		if _, _, ok := Parse(b, &from); ok {
			t.Errorf("bit %d flipped, and it passes", bit)
		}
		b[bit/8] ^= 1 << (bit % 8)
	}
}

func TestReflectIPv6(t *testing.T) {
	b := summed6(rand.New(rand.NewPCG(3, 6)), 20)
	before := bytes.Clone(b)
	var from Endpoint
	if !Reflect(b) {
		t.Fatal("refused")
	}
	if payload, port, ok := Parse(b, &from); !ok || from != dst6 || port != src6.Port || !bytes.Equal(payload, before[IPv6HeaderBytes:]) {
		t.Errorf("%v from %+v to %d", ok, from, port)
	}
	if ip, port, own := Destination(b); ip != src6.IP || port != src6.Port || own != dst6.Port {
		t.Errorf("goes to %v:%d from port %d", ip, port, own)
	}
	if Reflect(b); !bytes.Equal(b, before) {
		t.Error("twice is not the same frame")
	}
	var v VLAN = 7
	tagged := make([]byte, TagBytes+len(b))
	copy(tagged[TagBytes:], b)
	v.Put(tagged)
	if payload, _, ok := v.Parse(tagged, &from); !ok || from != src6 || len(payload) != 20 || v.Relayed(tagged) {
		t.Errorf("tagged: %v from %+v, %d bytes", ok, from, len(payload))
	}
	tagged[TagBytes+offIPv6Hops]--
	if !v.Relayed(tagged) || VLAN(0).Relayed(b) {
		t.Error("relayed")
	}
}

func TestND(t *testing.T) {
	mac, lane := src.MAC, dst6.IP
	group, groupMAC := SolicitedNode(lane)
	if hex.EncodeToString(group[:]) != "ff0200000000000000000001ff000002" || groupMAC != [6]byte{0x33, 0x33, 0xff, 0, 0, 2} {
		t.Errorf("group %x, %x", group, groupMAC)
	}
	own := LinkLocal(mac)
	if hex.EncodeToString(own[:]) != "fe80000000000000000000fffe000001" {
		t.Errorf("link local %x", own)
	}
	b := make([]byte, NDBytes)
	for _, c := range []struct {
		name     string
		bytes    int
		to       [6]byte
		dst      IP
		flags    byte
		want     ND
		wantSize int
	}{
		{"unsolicited", PutUnsolicitedNA(b, mac, lane), [6]byte{0x33, 0x33, 0, 0, 0, 1}, allNodes, 0x20,
			ND{NDAdvertisement, lane, lane, mac, mac}, 86},
	} {
		var n ND
		if !ParseND(b[:c.bytes], &n) || n != c.want || n.Claimed() != lane || c.bytes != c.wantSize ||
			[6]byte(b) != c.to || IP(b[offIPv6Dst:offND]) != c.dst || b[offNDFlags] != c.flags {
			t.Errorf("%s: %+v, %x", c.name, n, b)
		}
	}
	var n ND
	if size := PutSolicitation(b, mac, own, lane); size != NDBytes || !ParseND(b, &n) || n != (ND{NDSolicitation, own, lane, mac, mac}) ||
		n.Claimed() != own || [6]byte(b) != groupMAC {
		t.Errorf("solicitation: %+v", n)
	}
	if size := PutDADSolicitation(b, mac, lane); size != NDBytes-8 || !ParseND(b[:size], &n) || n != (ND{NDSolicitation, IP{}, lane, mac, mac}) ||
		n.Claimed() != (IP{}) || [6]byte(b) != groupMAC {
		t.Errorf("DAD solicitation: %+v", n)
	}
	if size := PutAdvertisement(b, mac, lane, dst.MAC, src6.IP); size != NDBytes || !ParseND(b, &n) || n.Claimed() != lane ||
		[6]byte(b) != dst.MAC || IP(b[offIPv6Dst:offND]) != src6.IP || b[offNDFlags] != 0x60 {
		t.Errorf("advertisement: %+v", n)
	}
	if PutAdvertisement(b, mac, lane, dst.MAC, IP{}); !ParseND(b, &n) || [6]byte(b) != allNodesMAC || b[offNDFlags] != 0x20 {
		t.Errorf("advertisement to a tentative host: %+v", n)
	}
}

// resum gives a message the checksum that it needs.
func resum(b []byte) []byte {
	b[offNDSum], b[offNDSum+1] = 0, 0
	end := offND + int(binary.BigEndian.Uint16(b[offIPv6Length:]))
	if end <= len(b) && end >= offNDOption {
		binary.LittleEndian.PutUint16(b[offNDSum:], ^icmpSum(b[:end]))
	}
	return b
}

func TestNDThatNobodyBelieves(t *testing.T) {
	lane := dst6.IP
	base := func() []byte {
		b := make([]byte, NDBytes)
		PutSolicitation(b, src.MAC, src6.IP, lane)
		return b
	}
	var n ND
	for name, f := range map[string]func(b []byte) []byte{
		"hop limit":          func(b []byte) []byte { b[offIPv6Hops] = 254; return b },
		"code":               func(b []byte) []byte { b[offND+1] = 1; return resum(b) },
		"another type":       func(b []byte) []byte { b[offND] = 134; return resum(b) },
		"checksum":           func(b []byte) []byte { b[offNDSum]++; return b },
		"multicast target":   func(b []byte) []byte { b[offNDTarget] = 0xff; return resum(b) },
		"option of no bytes": func(b []byte) []byte { b[offNDOption+1] = 0; return resum(b) },
		"option too long":    func(b []byte) []byte { b[offNDOption+1] = 2; return resum(b) },
		"no source, but its MAC": func(b []byte) []byte {
			clear(b[offIPv6Src:offIPv6Dst])
			return resum(b)
		},
		"no source, to one host": func(b []byte) []byte {
			n := PutDADSolicitation(b, src.MAC, lane)
			copy(b[offIPv6Dst:], lane[:])
			return resum(b[:n])
		},
		"no source, advertised": func(b []byte) []byte {
			PutUnsolicitedNA(b, src.MAC, lane)
			clear(b[offIPv6Src:offIPv6Dst])
			return resum(b)
		},
		"solicited by all": func(b []byte) []byte {
			PutUnsolicitedNA(b, src.MAC, lane)
			b[offNDFlags] |= ndSolicited
			return resum(b)
		},
		"length of IP": func(b []byte) []byte { b[offIPv6Length+1]++; return b },
		"too short":    func(b []byte) []byte { b[offIPv6Length+1] = 23; return b },
		"cut":          func(b []byte) []byte { return b[:offNDOption+4] },
		"next header":  func(b []byte) []byte { b[offIPv6Next] = 0; return b },
		"version":      func(b []byte) []byte { b[offIPv6] = 0x45; return b },
		"ether type":   func(b []byte) []byte { b[offEtherType] = 8; return b },
		"nothing":      func([]byte) []byte { return nil },
	} {
		if ParseND(f(base()), &n) {
			t.Errorf("%s: accepted", name)
		}
	}
	if !ParseND(base(), &n) {
		t.Error("and nothing else is")
	}
}

func TestNothingAllocatesIPv6(t *testing.T) {
	b, nd := summed6(rand.New(rand.NewPCG(4, 6)), 100), make([]byte, NDBytes)
	var headers Template
	var from Endpoint
	var n ND
	if a := testing.AllocsPerRun(100, func() {
		headers.PutSummed(b, &src6, src6.Port, &dst6, 100)
		Parse(b, &from)
		Reflect(b)
		Destination(b)
		PutUnsolicitedNA(nd, src.MAC, dst6.IP)
		ParseND(nd, &n)
	}); a != 0 {
		t.Errorf("%v allocations", a)
	}
}

func FuzzParseND(f *testing.F) {
	b := make([]byte, NDBytes)
	PutSolicitation(b, src.MAC, src6.IP, dst6.IP)
	f.Add(b)
	f.Add(b[:PutDADSolicitation(b, src.MAC, dst6.IP)])
	f.Fuzz(func(t *testing.T, b []byte) {
		var n ND
		if ParseND(b, &n) && n.Type != NDSolicitation && n.Type != NDAdvertisement {
			t.Fatalf("%+v", n)
		}
	})
}

func BenchmarkPutSummed(b *testing.B) {
	for name, ends := range map[string][2]*Endpoint{"IPv4": {&src, &dst}, "IPv6": {&src6, &dst6}} {
		b.Run(name, func(b *testing.B) {
			var t Template
			f := make([]byte, IPv6HeaderBytes+110)
			for b.Loop() {
				t.PutSummed(f, ends[0], 4001, ends[1], 110)
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	r := rand.New(rand.NewPCG(7, 8))
	for name, f := range map[string][]byte{"IPv4": summed(r, 110), "IPv6": summed6(r, 110)} {
		b.Run(name, func(b *testing.B) {
			var from Endpoint
			for b.Loop() {
				if _, _, ok := Parse(f, &from); !ok {
					b.Fatal("refused")
				}
			}
		})
	}
}
