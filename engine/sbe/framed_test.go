package sbe

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// checksum is RFC 1071 as its text has it.
func checksum(b []byte) uint64 {
	sum := uint64(0)
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint64(binary.LittleEndian.Uint16(b[i:]))
	}
	return sum % 65535
}

func TestFramed(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var f Framed
	for template, length := range blockBytes {
		if length < 0 {
			continue
		}
		if length%8 != 0 || length > framedBlockMax {
			t.Fatalf("%s has %d bytes: Framed wants whole words, at most %d", TemplateName(uint16(template)), length, framedBlockMax)
		}
		for range 100 {
			block := f.Begin(uint16(template))
			if !bytes.Equal(block, make([]byte, length)) {
				t.Fatal("the block is not zeroed")
			}
			want := make([]byte, PrefixBytes+length)
			fill := Put(want, uint16(template), int(length))
			for i := range fill {
				fill[i] = byte(random.Uint32())
				if i%3 == 0 {
					fill[i] = 0xff
				}
			}
			copy(block, fill)
			got := bytes.Repeat([]byte{0xaa}, len(want)+8)
			again := make([]byte, len(got))
			sum := f.Put(got, again)
			if !bytes.Equal(again[:len(want)], want) || !bytes.Equal(again[len(want):], make([]byte, 8)) {
				t.Fatalf("%s: the second %x, want %x", TemplateName(uint16(template)), again, want)
			}
			if f.Len() != len(want) || !bytes.Equal(got[:len(want)], want) || !bytes.Equal(got[len(want):], bytes.Repeat([]byte{0xaa}, 8)) {
				t.Fatalf("%s: %x, want %x", TemplateName(uint16(template)), got, want)
			}
			if sum >= 1<<35 || sum%65535 != checksum(want) {
				t.Fatalf("%s: sum %x, want %x", TemplateName(uint16(template)), sum, checksum(want))
			}
		}
	}
}

func TestContextSum(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 1000 {
		var id UUID
		for i := range id {
			id[i] = byte(random.Uint32())
		}
		b := make([]byte, PrefixBytes+ContextBytes)
		n, sum := PutContextSummed(b, &id, random.Uint64()|random.Uint64())
		if n != len(b) || sum >= 1<<35 || sum%65535 != checksum(b) {
			t.Fatalf("%x: %d bytes, sum %x, want %x", b, n, sum, checksum(b))
		}
	}
}

// Fields that are set in one word are those of the setters one by one.
func TestReportWords(t *testing.T) {
	var one, words ExecutionReport
	one.SetSymbolID(0x01020304)
	one.SetAccount(0x05060708)
	one.SetOrderQtyLots(11)
	one.SetLastQtyLots(1 << 31)
	one.SetLeavesQtyLots(13)
	one.SetCumQtyLots(0xfffffffe)
	one.SetSide(SideSell)
	one.SetOrdType(OrdTypeLimit)
	one.SetTimeInForce(TimeInForceFillOrKill)
	one.SetExecType(ExecTypeTrade)
	one.SetOrdStatus(OrdStatusFilled)
	one.SetPossResend(1)
	one.SetReason(RejectReasonCannotFill)
	words.SetInstrument(0x01020304, 0x05060708)
	words.SetLots(11, 1<<31, 13, 0xfffffffe)
	words.SetCodes(SideSell, OrdTypeLimit, TimeInForceFillOrKill, ExecTypeTrade, OrdStatusFilled, 1, RejectReasonCannotFill)
	if one != words {
		t.Fatalf("%x, want %x", words, one)
	}
}
