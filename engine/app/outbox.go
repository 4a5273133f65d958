package app

import "onebeat/xdp/frame"

// Endpoint is where a datagram came from or goes to.
type Endpoint = frame.Endpoint

// IP is an Endpoint's address.
type IP = frame.IP

// IPv4 is an IPv4 address.
func IPv4(a [4]byte) IP { return frame.IPv4(a) }

const (
	// SlotCount is how many outputs may wait for their release; a power of two.
	SlotCount = 1024
	// MaxDatagramBytes bounds one output's UDP payload: what fits, with its longest
	// headers, into one mirror frame of 1,514 bytes, though not beside a record then.
	// The more reports share a datagram the fewer frames a batch of orders costs.
	MaxDatagramBytes = 1304
)

// Slot is one output: a whole Ethernet frame and what its release depends on.
type Slot struct {
	Frame       [frame.TagBytes + frame.IPv6HeaderBytes + MaxDatagramBytes]byte
	LengthBytes int // of the whole frame
	Remote      Endpoint
	LocalPort   uint16
	// RecordEnd is the position behind the record this output was derived
	// from: it may leave when the log up to there may be seen.
	RecordEnd uint64
	// Sum is that of the payload, as its UDP checksum adds it; NoSum: it is taken once
	// the payload is whole.
	Sum uint64
	// Echo is the link counter of the mirror frame that carried this output as
	// its ride, 0 when none did.
	Echo uint64
	// SentNs is when that frame was built.
	SentNs int64
	// Flow and NextSeqNo let a machine add a message to an output that is still
	// open; 0 when it must not grow.
	Flow      uint64
	NextSeqNo uint64
}

// NoSum is the sum of what nobody has summed up.
const NoSum = ^uint64(0)

// Outbox holds the outputs of a lane in order, by output number. The machine
// opens and fills slots at the tail; the loop releases them at the head.
// A muted outbox (a standby's) takes everything and keeps nothing.
type Outbox struct {
	Muted     bool
	Local     Endpoint // source MAC and lane address of every output, and so the others' family
	RecordEnd uint64   // set by the loop before Apply

	slots []Slot
	// at is the slot of each output that waits, by its number; the free ones
	// are a stack: the slot released last is still in the cache, where the one
	// after the newest would be cold memory for every output.
	at        [SlotCount]uint16
	free      [SlotCount]uint16
	freeCount int
	head      uint64 // number of the oldest output not yet released
	tail      uint64 // number of the next output
	// sealed: outputs below it may not grow any more
	sealed uint64
	ip     frame.Template
	// vlan is every output's; what it makes of a slot: its header begins behind
	// the tag, its payload at startBytes and ends at endBytes at the latest.
	vlan                           frame.VLAN
	tagBytes, startBytes, endBytes int
}

// NewOutbox returns an empty outbox whose first output has the given number.
func NewOutbox(local Endpoint, firstOutput uint64) *Outbox {
	o := &Outbox{Local: local, slots: make([]Slot, SlotCount+1)}
	o.UseVLAN(0)
	o.Reset(firstOutput)
	return o
}

// UseVLAN gives every output this tag. Before the first one.
func (o *Outbox) UseVLAN(vlan frame.VLAN) {
	o.vlan, o.tagBytes = vlan, vlan.Bytes()
	o.startBytes = o.tagBytes + o.Local.IP.HeaderBytes()
	o.endBytes = o.startBytes + MaxDatagramBytes
}

// VLAN is the tag of every output, and so that of the order network.
func (o *Outbox) VLAN() frame.VLAN { return o.vlan }

// Reset drops all outputs and continues with the given number.
func (o *Outbox) Reset(firstOutput uint64) {
	o.head, o.tail, o.sealed = firstOutput, firstOutput, firstOutput
	o.freeCount = SlotCount
	for i := range o.free {
		o.free[i] = uint16(SlotCount - 1 - i)
	}
}

// next is the slot of the output being made; the last slot of all when the
// outbox is full.
func (o *Outbox) next() *Slot {
	if o.freeCount == 0 {
		return &o.slots[SlotCount]
	}
	return &o.slots[o.free[o.freeCount-1]]
}

// Room returns how many more outputs fit.
func (o *Outbox) Room() int { return SlotCount - int(o.tail-o.head) }

// Head returns the number of the oldest unreleased output.
func (o *Outbox) Head() uint64 { return o.head }

// Tail returns the number the next output will get.
func (o *Outbox) Tail() uint64 { return o.tail }

// At returns output n; Head() <= n < Tail().
func (o *Outbox) At(n uint64) *Slot { return &o.slots[o.at[n&(SlotCount-1)]] }

// Open starts an output to remote and returns its payload buffer, at least
// MaxDatagramBytes long. Close ends it. When the outbox is full or muted the
// buffer is a scratch one and the output goes nowhere: the loop keeps Room
// above what one record can cause, and the session layer recovers the rest.
//
// flow names a sequenced flow (a session, never 0) whose next messages may be
// added with Grow; 0 for an output of its own.
func (o *Outbox) Open(remote Endpoint, localPort uint16, flow uint64) []byte {
	s := o.next()
	s.Remote, s.LocalPort, s.Flow = remote, localPort, flow
	s.RecordEnd, s.Echo, s.NextSeqNo = o.RecordEnd, 0, 0
	return s.Frame[o.startBytes:o.endBytes]
}

// Close ends the output that Open started: payloadBytes were written, the next
// message of its flow has number nextSeqNo.
func (o *Outbox) Close(payloadBytes int, nextSeqNo uint64) {
	o.CloseSummed(payloadBytes, nextSeqNo, NoSum)
}

// CloseSummed is Close by who has summed the payload up while writing it.
func (o *Outbox) CloseSummed(payloadBytes int, nextSeqNo, sum uint64) {
	if o.Muted || o.Room() == 0 {
		return
	}
	s := o.next()
	o.freeCount--
	o.at[o.tail&(SlotCount-1)] = o.free[o.freeCount]
	s.LengthBytes = o.startBytes + payloadBytes
	s.NextSeqNo, s.Sum = nextSeqNo, sum
	o.tail++
}

// Grow returns the free rest of the newest output if it is still open, belongs
// to flow and its next message has number seqNo; nil otherwise. Grown ends it.
func (o *Outbox) Grow(flow, seqNo uint64) []byte {
	if o.Muted || o.tail == o.sealed || flow == 0 {
		return nil
	}
	s := o.At(o.tail - 1)
	if s.Flow != flow || s.NextSeqNo != seqNo {
		return nil
	}
	return s.Frame[s.LengthBytes:o.endBytes]
}

// Grown adds messageBytes with their sum to the newest output; its flow's next message
// has number nextSeqNo.
func (o *Outbox) Grown(messageBytes int, nextSeqNo, sum uint64) {
	s := o.At(o.tail - 1)
	if s.Sum != NoSum && sum != NoSum {
		s.Sum += sum // at most some hundred sums of 35 bits
	} else {
		s.Sum = NoSum
	}
	s.LengthBytes += messageBytes
	s.NextSeqNo = nextSeqNo
	s.RecordEnd = o.RecordEnd
}

// Seal writes the headers of all outputs since the last call; none of them
// grows any more.
func (o *Outbox) Seal() {
	for ; o.sealed != o.tail; o.sealed++ {
		s := o.At(o.sealed)
		if s.Sum == NoSum {
			o.ip.PutSummed(s.Frame[o.tagBytes:], &o.Local, s.LocalPort, &s.Remote, s.LengthBytes-o.startBytes)
		} else {
			o.ip.PutSum(s.Frame[o.tagBytes:], &o.Local, s.LocalPort, &s.Remote, s.LengthBytes-o.startBytes, s.Sum)
		}
		o.vlan.Put(s.Frame[:])
	}
}

// Payload is where in a frame of its own, which is no output and waits for
// nothing, the payload stands. Envelope puts the headers around it.
func (o *Outbox) Payload(b []byte) []byte { return b[o.startBytes:o.endBytes] }

// Envelope returns the length of the frame whose payload stands in b.
func (o *Outbox) Envelope(b []byte, to Endpoint, localPort uint16, payloadBytes int) int {
	o.ip.PutSummed(b[o.tagBytes:], &o.Local, localPort, &to, payloadBytes)
	o.vlan.Put(b)
	return o.startBytes + payloadBytes
}

// Release drops the oldest outputs up to, not including, number n.
func (o *Outbox) Release(n uint64) {
	for n = min(n, o.tail); o.head < n; o.head++ {
		o.free[o.freeCount] = o.at[o.head&(SlotCount-1)]
		o.freeCount++
	}
}
