package sbe

import (
	"encoding/binary"
	"math/bits"
)

const (
	framedPadBytes   = 2 // before the framing, so that the SBE header and the block begin at a whole word
	framedBlockAt    = framedPadBytes + PrefixBytes
	framedBlockMax   = 152
	framedPrefixWord = uint64(EncodingSBE>>8)<<48 | uint64(EncodingSBE&0xff)<<56
)

// Framed is a message in the making. It stands in words of eight bytes, is written
// in such words and read in the same ones: a load that spans two stores waits until
// both have left the store buffer, and behind all that was written before them.
type Framed struct {
	b   [framedBlockAt + framedBlockMax]byte
	end int
}

// Begin starts a message of the schema's own version and returns its zeroed block,
// whose length is a multiple of eight as all blocks' are.
func (f *Framed) Begin(template uint16) []byte {
	blockBytes := BlockBytes(template)
	f.end = framedBlockAt + blockBytes
	block := f.b[framedBlockAt:f.end]
	clear(block)
	binary.LittleEndian.PutUint64(f.b[0:], uint64(bits.ReverseBytes32(uint32(PrefixBytes+blockBytes)))<<16|framedPrefixWord)
	binary.LittleEndian.PutUint64(f.b[8:], header(template, uint16(blockBytes), SchemaVersion))
	return block
}

// Len is the length of the message on the wire.
func (f *Framed) Len() int { return f.end - framedPadBytes }

// Put writes the message to both, in one pass, and returns its part of an Internet
// checksum: the sum of its 16-bit words modulo 65535, below 1<<35, as long as it
// stands at an even place.
func (f *Framed) Put(a, b []byte) (sum uint64) {
	if f.end == framedReportEnd {
		return putReport(&f.b, (*[framedReportEnd - framedPadBytes]byte)(a), (*[framedReportEnd - framedPadBytes]byte)(b))
	}
	le := binary.LittleEndian
	message := f.b[framedPadBytes:f.end]
	copy(a[:len(message)], message)
	copy(b[:len(message)], message)
	for words := f.b[:f.end]; len(words) >= 8; words = words[8:] {
		w := le.Uint64(words)
		sum += w>>32 + w&0xffffffff
	}
	return fold(sum)
}

// framedReportEnd is where an ExecutionReport ends, which nearly all messages are.
const framedReportEnd = framedBlockAt + ExecutionReportBytes

// putReport is Put for them: without a loop it takes a fourth of the instructions.
func putReport(f *[framedBlockAt + framedBlockMax]byte, a, b *[framedReportEnd - framedPadBytes]byte) uint64 {
	le := binary.LittleEndian
	w0, w1, w2, w3 := le.Uint64(f[0:]), le.Uint64(f[8:]), le.Uint64(f[16:]), le.Uint64(f[24:])
	le.PutUint32(a[0:], uint32(w0>>16))
	le.PutUint16(a[4:], uint16(w0>>48))
	le.PutUint32(b[0:], uint32(w0>>16))
	le.PutUint16(b[4:], uint16(w0>>48))
	le.PutUint64(a[6:], w1)
	le.PutUint64(b[6:], w1)
	le.PutUint64(a[14:], w2)
	le.PutUint64(b[14:], w2)
	le.PutUint64(a[22:], w3)
	le.PutUint64(b[22:], w3)
	sum, c := bits.Add64(w0, w1, 0)
	sum, c = bits.Add64(sum, w2, c)
	sum, c = bits.Add64(sum, w3, c)
	carries := c
	w0, w1, w2, w3 = le.Uint64(f[32:]), le.Uint64(f[40:]), le.Uint64(f[48:]), le.Uint64(f[56:])
	le.PutUint64(a[30:], w0)
	le.PutUint64(b[30:], w0)
	le.PutUint64(a[38:], w1)
	le.PutUint64(b[38:], w1)
	le.PutUint64(a[46:], w2)
	le.PutUint64(b[46:], w2)
	le.PutUint64(a[54:], w3)
	le.PutUint64(b[54:], w3)
	sum, c = bits.Add64(sum, w0, 0)
	sum, c = bits.Add64(sum, w1, c)
	sum, c = bits.Add64(sum, w2, c)
	sum, c = bits.Add64(sum, w3, c)
	carries += c
	w0, w1, w2, w3 = le.Uint64(f[64:]), le.Uint64(f[72:]), le.Uint64(f[80:]), le.Uint64(f[88:])
	w4 := le.Uint64(f[96:])
	le.PutUint64(a[62:], w0)
	le.PutUint64(b[62:], w0)
	le.PutUint64(a[70:], w1)
	le.PutUint64(b[70:], w1)
	le.PutUint64(a[78:], w2)
	le.PutUint64(b[78:], w2)
	le.PutUint64(a[86:], w3)
	le.PutUint64(b[86:], w3)
	le.PutUint64(a[94:], w4)
	le.PutUint64(b[94:], w4)
	sum, c = bits.Add64(sum, w0, 0)
	sum, c = bits.Add64(sum, w1, c)
	sum, c = bits.Add64(sum, w2, c)
	sum, c = bits.Add64(sum, w3, c)
	sum, c = bits.Add64(sum, w4, c)
	return fold(sum) + carries + c
}

// fold folds a word to 33 bits.
func fold(word uint64) uint64 { return word>>32 + word&0xffffffff }

// The last words of an ExecutionReport, each in one store (Framed).

// SetInstrument sets SymbolID and Account.
func (m *ExecutionReport) SetInstrument(symbolID, account uint32) {
	binary.LittleEndian.PutUint64(m[56:], uint64(symbolID)|uint64(account)<<32)
}

// SetLots sets OrderQtyLots, LastQtyLots, LeavesQtyLots and CumQtyLots.
func (m *ExecutionReport) SetLots(order, last, leaves, cum uint32) {
	binary.LittleEndian.PutUint64(m[64:], uint64(order)|uint64(last)<<32)
	binary.LittleEndian.PutUint64(m[72:], uint64(leaves)|uint64(cum)<<32)
}

// SetCodes sets Side, OrdType, TimeInForce, ExecType, OrdStatus, PossResend and Reason.
func (m *ExecutionReport) SetCodes(side Side, ordType OrdType, tif TimeInForce, exec ExecType, status OrdStatus, possResend uint8, why RejectReason) {
	binary.LittleEndian.PutUint64(m[80:], uint64(side)|uint64(ordType)<<8|uint64(tif)<<16|uint64(exec)<<24|
		uint64(status)<<32|uint64(possResend)<<40|uint64(why)<<48)
}
