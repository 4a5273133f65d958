package sbe

import (
	"encoding/binary"
	"testing"
)

// datagram is a Context and a NewOrderSingle.
func datagram() []byte {
	b := make([]byte, 256)
	n := PutContext(b, &UUID{1}, 7)
	o := AsNewOrderSingle(Put(b[n:], TemplateNewOrderSingle, NewOrderSingleBytes))
	o.SetClOrdID(42)
	return b[:n+PrefixBytes+NewOrderSingleBytes]
}

const second = PrefixBytes + ContextBytes // offset of the order

func TestSplit(t *testing.T) {
	cases := []struct {
		name   string
		change func(b []byte) []byte
		want   Reason
		n      int
	}{
		{"good", func(b []byte) []byte { return b }, OK, 2},
		{"empty", func(b []byte) []byte { return b[:0] }, Truncated, 0},
		{"header cut", func(b []byte) []byte { return b[:second+5] }, Truncated, 0},
		{"block cut", func(b []byte) []byte { return b[:len(b)-1] }, Truncated, 0},
		{"length too small", func(b []byte) []byte { b[3] = 3; return b }, Truncated, 0},
		{"length too great", func(b []byte) []byte { b[1] = 1; return b }, Oversized, 0},
		{"datagram too long", func([]byte) []byte { return make([]byte, MaxDatagramBytes+1) }, Oversized, 0},
		{"encoding", func(b []byte) []byte { b[second+5] ^= 1; return b }, BadEncoding, 0},
		{"schema", func(b []byte) []byte { b[second+SOFHBytes+4] ^= 1; return b }, WrongSchema, 0},
		{"major version", func(b []byte) []byte { b[second+SOFHBytes+7]++; return b }, WrongVersion, 0},
		{"template between", func(b []byte) []byte { b[second+SOFHBytes+2] = 19; return b }, UnknownTemplate, 0},
		{"template beyond", func(b []byte) []byte { b[second+SOFHBytes+3] = 200; return b }, UnknownTemplate, 0},
		{"block shorter than ours", func(b []byte) []byte {
			b = b[:len(b)-8]
			b[second+3] -= 8
			b[second+SOFHBytes] -= 8
			return b
		}, BadBlockLength, 0},
		{"block does not fill message", func(b []byte) []byte { b[second+SOFHBytes]--; return b }, BadBlockLength, 0},
		{"of the version before", func(b []byte) []byte { return b[:second+Shorten(b[second:])] }, OK, 2},
		{"shorter block, same version", func(b []byte) []byte {
			b = b[:second+Shorten(b[second:])]
			b[second+SOFHBytes+6]++
			return b
		}, BadBlockLength, 0},
		{"longer block, older version", func(b []byte) []byte { b[second+SOFHBytes+6]--; return b }, BadBlockLength, 0},
		{"longer block, same version", func(b []byte) []byte { return longer(b, 0) }, BadBlockLength, 0},
		{"longer block, newer minor", func(b []byte) []byte { return longer(b, 1) }, OK, 2},
		{"too many", func([]byte) []byte {
			var b []byte
			for range MaxMessages + 1 {
				m := make([]byte, PrefixBytes)
				Put(m, TemplateUnsequencedHeartbeat, 0)
				b = append(b, m...)
			}
			return b
		}, TooManyMessages, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var m [MaxMessages]Message
			b := c.change(datagram())
			n, why := Split(b, &m)
			if why != c.want || n != c.n {
				t.Fatalf("%d messages, %v; want %d, %v", n, why, c.n, c.want)
			}
			if n == 2 && AsNewOrderSingle(m[1].Block(b)).ClOrdID() != 42 {
				t.Fatal("order not found behind the context")
			}
		})
	}
}

// longer adds eight bytes to the order's block and minor to its version.
func longer(b []byte, minor byte) []byte {
	b = append(b, 1, 2, 3, 4, 5, 6, 7, 8)
	b[second+3] += 8
	b[second+SOFHBytes] += 8
	b[second+SOFHBytes+6] += minor
	return b
}

func TestCheckRaw(t *testing.T) {
	b := datagram()
	if template, why := CheckRaw(b[second+SOFHBytes:]); template != TemplateNewOrderSingle || why != OK {
		t.Fatalf("%d %v", template, why)
	}
	if _, why := CheckRaw(b[:4]); why != Truncated {
		t.Fatalf("%v", why)
	}
}

// TestFieldsOfLaterVersions: such a field is read where it is, as zero where it
// is not, and a message is shortened only when nothing of it is lost.
func TestFieldsOfLaterVersions(t *testing.T) {
	b := datagram()[second:]
	block := b[PrefixBytes:]
	SetNewOrderSingleExecInst(block, ExecInstPostOnly)
	if NewOrderSingleExecInst(block) != ExecInstPostOnly || block[32] != 54 {
		t.Fatalf("the field reads %v of % x", NewOrderSingleExecInst(block), block)
	}
	if n := Shorten(b); n != len(b) {
		t.Fatalf("a message with a later field was cut to %d of %d bytes", n, len(b))
	}
	SetNewOrderSingleExecInst(block, ExecInstNone)
	short := b[:Shorten(b)]
	template, why := CheckRaw(short[SOFHBytes:])
	if len(short) != PrefixBytes+32 || template != TemplateNewOrderSingle || why != OK || binary.BigEndian.Uint32(short) != uint32(len(short)) {
		t.Fatalf("%d bytes, template %d, %v", len(short), template, why)
	}
	if NewOrderSingleExecInst(short[PrefixBytes:]) != ExecInstNone || Shorten(short) != len(short) {
		t.Fatal("a short message reads a field that it has not")
	}
	cancel := make([]byte, PrefixBytes+OrderCancelRequestBytes)
	Put(cancel, TemplateOrderCancelRequest, OrderCancelRequestBytes)
	if Shorten(cancel) != len(cancel) {
		t.Fatal("a message without later fields was cut")
	}
}

func TestNoAllocations(t *testing.T) {
	b := datagram()
	var m [MaxMessages]Message
	if n := testing.AllocsPerRun(100, func() {
		Split(b, &m)
		PutContext(b, &UUID{2}, 3)
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func FuzzSplit(f *testing.F) {
	f.Add(datagram())
	f.Add(longer(datagram(), 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		var m [MaxMessages]Message
		n, why := Split(b, &m)
		if (why == OK) != (n > 0) {
			t.Fatalf("%d messages, %v", n, why)
		}
		end := 0
		for i := range n {
			x := &m[i]
			if int(x.Offset) != end+SOFHBytes || int(x.End) > len(b) || len(x.Block(b)) < blockBytesLeast(x.Template) {
				t.Fatalf("message %d: %+v behind %d of %d bytes", i, *x, end, len(b))
			}
			if binary.BigEndian.Uint32(b[end:]) != uint32(int(x.End)-end) {
				t.Fatalf("message %d: length", i)
			}
			end = int(x.End)
		}
		if n > 0 && end != len(b) {
			t.Fatalf("%d of %d bytes used", end, len(b))
		}
	})
}

// blockBytesLeast is the shortest block of a template: As must not panic.
func blockBytesLeast(template uint16) int {
	if o := older[template]; o.since != 0 {
		return int(o.bytes)
	}
	return BlockBytes(template)
}
