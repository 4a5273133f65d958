package wire

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"unsafe"

	"onebeat/mirror/lane"
)

// The first and last of the official vectors (key 00..0f, input 00..i).
func TestSipHashVectors(t *testing.T) {
	key := [2]uint64{0x0706050403020100, 0x0f0e0d0c0b0a0908}
	in := make([]byte, 64)
	for i := range in {
		in[i] = byte(i)
	}
	for n, want := range map[int]uint64{
		0: 0x726fdb47dd0e0e31, 1: 0x74f839c593dc67fd, 2: 0x0d6c8009d9a94f5a, 3: 0x85676696d7fb7e2d,
		4: 0xcf2794e0277187b7, 5: 0x18765564cd99a68d, 6: 0xcbc9466e58fee3ce, 7: 0xab0200f58b01d137,
		8: 0x93f5f5799a932462, 15: 0xa129ca6149be45e5, 63: 0x958a324ceb064572,
	} {
		if got := Sip(key, in[:n]); got != want {
			t.Errorf("%d bytes: %016x, want %016x", n, got, want)
		}
	}
}

func naiveNH(key []uint32, p []byte) uint64 {
	padded := make([]byte, (len(p)+StepBytes-1)/StepBytes*StepBytes)
	copy(padded, p)
	sum := uint64(0)
	for i := 0; i < len(padded)/4; i += 2 {
		a := binary.LittleEndian.Uint32(padded[4*i:]) + key[i]
		b := binary.LittleEndian.Uint32(padded[4*i+4:]) + key[i+1]
		sum += uint64(a) * uint64(b)
	}
	return sum
}

func testAuth() *Auth {
	k := DeriveKeys([32]byte{1, 2, 3}, 4, 1, 2, 10, 20)
	return &Auth{Enabled: true, Sip: k.LowToHigh, NH: &k.NH}
}

func TestNHAgainstNaive(t *testing.T) {
	a := testAuth()
	rng := rand.New(rand.NewPCG(1, 1))
	for n := 0; n <= PayloadMaxBytes; n++ {
		p := make([]byte, n)
		for i := range p {
			p[i] = byte(rng.Uint32())
		}
		want := naiveNH(a.NH[:], p)
		if got := NH(a.NH, p); got != want {
			t.Fatalf("%d bytes: %x, want %x", n, got, want)
		}
		whole := n / StepBytes * StepBytes
		plain := nhSteps(nil, unsafe.Pointer(unsafe.SliceData(p)), unsafe.Pointer(a.NH), whole/StepBytes)
		if want := naiveNH(a.NH[:], p[:whole]); plain != want {
			t.Fatalf("%d bytes without AVX2: %x, want %x", n, plain, want)
		}
		// Records up to any step, the ride behind them, and not a byte more.
		records := rng.IntN(whole/StepBytes+1) * StepBytes
		payload := bytes.Repeat([]byte{0xEE}, n+StepBytes)
		if got := a.Fill(payload, p[:records], p[records:]); got != want || !bytes.Equal(payload[:n], p) ||
			!bytes.Equal(payload[n:], bytes.Repeat([]byte{0xEE}, StepBytes)) {
			t.Fatalf("%d bytes filled from %d of records: %x, want %x", n, records, got, want)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("hashed beyond the key")
		}
	}()
	NH(a.NH, make([]byte, PayloadMaxBytes+1))
}

func testFrame(records, ride int) []byte {
	b := make([]byte, HeaderBytes+records+ride)
	h := Header{
		Type: Mirror, Lane: 3, Node: 7, Epoch: 0xE0E1E2E3, LengthBytes: uint16(records), RideBytes: uint16(ride),
		Path: 1, Flags: 2, Successor: 0x51525354, Position: 32, Tail: 1 << 40, Applied: 99,
		Authority: lane.MakeWord(5, lane.Standby), Incarnation: 0xABCD, Output: 17, Echo: 18, Counter: 19,
	}
	h.Put(b)
	for i := HeaderBytes; i < len(b); i++ {
		b[i] = byte(i)
	}
	return b
}

func TestHeaderRoundTrip(t *testing.T) {
	b := testFrame(64, 100)
	var h Header
	if c := h.Parse(b); c != OK {
		t.Fatal(c)
	}
	again := make([]byte, HeaderBytes)
	h.Put(again)
	if string(again) != string(b[:HeaderBytes]) || len(h.Records(b)) != 64 || len(h.Ride(b)) != 100 {
		t.Error("round trip differs")
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(b []byte) []byte
		want Check
	}{
		{"empty", func(b []byte) []byte { return nil }, BadTruncated},
		{"95 bytes", func(b []byte) []byte { return b[:95] }, BadTruncated},
		{"magic", func(b []byte) []byte { b[0]++; return b }, BadMagic},
		{"version", func(b []byte) []byte { b[offVersion]++; return b }, BadVersion},
		{"lane", func(b []byte) []byte { b[offLane] = lane.Lanes; return b }, BadLane},
		{"shorter than it says", func(b []byte) []byte { return b[:len(b)-1] }, BadLength},
		{"longer than it says", func(b []byte) []byte { return append(b, 0) }, BadLength},
		{"records not of whole steps", func(b []byte) []byte { b[offLength] = 65; b[offRide] = 99; return b }, BadLength},
		{"payload too long", func([]byte) []byte { return testFrame(PayloadMaxBytes, 1) }, BadLength},
		{"type 0", func(b []byte) []byte { b[offType] = 0; return b }, BadType},
		{"type 9", func(b []byte) []byte { b[offType] = 9; return b }, BadType},
	} {
		var h Header
		if got := h.Parse(c.edit(testFrame(64, 100))); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestSealIsSipOverCounterAndNH(t *testing.T) {
	a := testAuth()
	b := testFrame(96, 71)
	a.Seal(b)
	// 88 bytes are no multiple of the step: the padding meets key words as well.
	header := func(shift int) uint64 {
		sum := uint64(0)
		for i := 0; i < offMAC; i += 8 {
			k := a.NH[nhHeaderAt+i/4+shift:]
			sum += uint64(binary.LittleEndian.Uint32(b[i:])+k[0]) * uint64(binary.LittleEndian.Uint32(b[i+4:])+k[1])
		}
		return sum
	}
	in := make([]byte, 24)
	copy(in, b[offCounter:offCounter+8])
	binary.LittleEndian.PutUint64(in[8:], header(0)+naiveNH(a.NH[:], b[HeaderBytes:]))
	binary.LittleEndian.PutUint64(in[16:], header(2))
	if got, want := binary.LittleEndian.Uint64(b[offMAC:]), Sip(a.Sip, in); got != want {
		t.Errorf("mac %x, want %x", got, want)
	}
}

func TestVerifyNoticesEveryFlippedBit(t *testing.T) {
	a := testAuth()
	b := testFrame(64, 45)
	a.Seal(b)
	if !a.Verify(b) {
		t.Fatal("own frame refused")
	}
	for bit := range len(b) * 8 {
		b[bit/8] ^= 1 << (bit % 8)
		if a.Verify(b) {
			t.Fatalf("bit %d of byte %d is not covered", bit%8, bit/8)
		}
		b[bit/8] ^= 1 << (bit % 8)
	}
	other := *a
	other.Sip[0]++
	if other.Verify(b) {
		t.Error("the other direction's key fits")
	}
	if (&Auth{}).Verify(b[:HeaderBytes]) != true {
		t.Error("without authentication nothing is checked")
	}
}

func TestDeriveKeys(t *testing.T) {
	base := DeriveKeys([32]byte{1}, 1, 1, 2, 0, 0)
	if base != DeriveKeys([32]byte{1}, 1, 1, 2, 0, 0) {
		t.Error("not a function of its arguments")
	}
	for i, k := range []Keys{
		DeriveKeys([32]byte{2}, 1, 1, 2, 0, 0), DeriveKeys([32]byte{1}, 2, 1, 2, 0, 0),
		DeriveKeys([32]byte{1}, 1, 1, 3, 0, 0), DeriveKeys([32]byte{1}, 1, 1, 2, 1, 0),
		DeriveKeys([32]byte{1}, 1, 1, 2, 0, 1),
	} {
		if k.LowToHigh == base.LowToHigh || k.NH == base.NH {
			t.Error("same keys for other arguments", i)
		}
	}
	tx, rx := base.For(1, 1)
	tx2, rx2 := base.For(2, 1)
	if tx != rx2 || rx != tx2 || tx == rx {
		t.Error("directions")
	}
}

func TestReplay(t *testing.T) {
	var r Replay
	for i, c := range []struct {
		path    uint8
		counter uint64
		want    bool
	}{{0, 0, false}, {0, 1, true}, {0, 1, false}, {1, 1, true}, {0, 9, true}, {0, 8, false}, {lane.PathSteerOrder, 1, true}, {lane.Paths, 1, false}} {
		if r.Accept(c.path, c.counter) != c.want {
			t.Error(i)
		}
	}
	r.Reset()
	if !r.Accept(0, 1) {
		t.Error("new keys start anew")
	}
}

func testHello() Hello {
	return Hello{
		Incarnation: 1, PeerIncarnation: 2, Authority: lane.MakeWord(4, lane.Fenced),
		Record:    lane.Record{Epoch: 4, Writer: 1, Set: [2]lane.Member{{Node: 1, Incarnation: 1}, {Node: 2, Incarnation: 2}}},
		LastEpoch: 4, Tail: 4096, Oldest: 1024, RingBytes: 1 << 20, CutAt: NoCut, CutFor: 3, SchemaVersion: 3,
		PolicyFlags: PolicyWitness, Want: WantJoin, First: true,
		Release: Release{Terms: 7, Policies: 8, Archived: 960, Changed: true, Archives: true},
	}
}

func TestHelloRoundTrip(t *testing.T) {
	h := testHello()
	b := make([]byte, HelloBytes)
	h.Put(b)
	var got Hello
	if !got.Parse(b) || got != h {
		t.Fatalf("%+v", got)
	}
	for _, c := range []struct {
		name string
		edit func(h *Hello)
	}{
		{"no incarnation", func(h *Hello) { h.Incarnation = 0 }},
		{"unknown state", func(h *Hello) { h.Authority = lane.MakeWord(1, 77) }},
		{"writer not in the set", func(h *Hello) { h.Record.Writer = 9 }},
		{"a node twice", func(h *Hello) { h.Record.Set[1] = h.Record.Set[0] }},
		{"odd tail", func(h *Hello) { h.Tail = 4097 }},
		{"oldest beyond tail", func(h *Hello) { h.Oldest = 8192 }},
		{"odd cut", func(h *Hello) { h.CutAt = 1 }},
		{"unknown wish", func(h *Hello) { h.Want = wantEnd }},
	} {
		bad := testHello()
		c.edit(&bad)
		bad.Put(b)
		if got.Parse(b) {
			t.Errorf("%s: accepted", c.name)
		}
	}
}

func TestHotPathAllocatesNothing(t *testing.T) {
	a := testAuth()
	b := testFrame(96, 174)
	var h Header
	if n := testing.AllocsPerRun(100, func() {
		h.Parse(b)
		h.Put(b)
		a.Seal(b)
		a.Verify(b)
	}); n != 0 {
		t.Error(n)
	}
}

func benchmarkSeal(b *testing.B, records, ride int) {
	a := testAuth()
	f := testFrame(records, ride)
	b.ReportAllocs()
	for b.Loop() {
		a.Seal(f)
	}
}

func BenchmarkSealHeader(b *testing.B) { benchmarkSeal(b, 0, 0) }
func BenchmarkSeal270(b *testing.B)    { benchmarkSeal(b, 96, 174) }
func BenchmarkSeal1400(b *testing.B)   { benchmarkSeal(b, 1376, 24) }

func BenchmarkNH270(b *testing.B) {
	a := testAuth()
	f := testFrame(96, 174)
	for b.Loop() {
		NH(a.NH, f[HeaderBytes:])
	}
}

func BenchmarkPutParse(b *testing.B) {
	f := testFrame(96, 174)
	var h Header
	for b.Loop() {
		h.Parse(f)
		h.Put(f)
	}
}
