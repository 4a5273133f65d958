package cold

import (
	"encoding/binary"
	"sync/atomic"
)

// Kinds of entries towards the loop.
const (
	// Draft: the payload of a record.
	Draft uint8 = iota + 1
	// Ask: a question to the machine that no record is made of.
	Ask
)

// DraftHeaderBytes stand before the payload of an entry towards the loop: kind u8,
// padding, term u64.
const DraftHeaderBytes = 16

// EntryHeaderBytes stand before the payload of an entry from the loop.
const EntryHeaderBytes = 40

// Entry is what the loop tells the cold side.
type Entry struct {
	Kind    uint8
	Flags   uint8
	Session uint16
	Cookie  uint32 // of the connection it is for; 0: of the session
	SeqNo   uint64
	Arg     uint64
	// RecordEnd is where the log must be released to before it may be seen.
	RecordEnd uint64
	TimeNs    int64
	Payload   []byte
}

// Port is one lane's pair of rings.
type Port struct {
	in  *Ring // towards the loop; its producers hold a lock of their own
	out *Ring
	// term counts the times the loop began to serve; serving is it while it serves, 0
	// else. Written by the loop.
	term    uint64
	serving atomic.Uint64
	// clientTerm is the term of what clients draft: it ends when the lane refuses them,
	// too. clients is it while they are not refused, 0 else. Written by the loop.
	clientTerm uint64
	clients    atomic.Uint64
	refused    uint64 // how often clients were; the loop's
	refusing   bool   // the loop's

	loopAsleep atomic.Uint32
	coldAsleep atomic.Uint32
	attended   atomic.Int32 // who looks for entries without sleeping
	wakeLoop   func()
	wakeCold   func()

	// RecordEnd is stamped on what Emit writes; the machine sets it.
	RecordEnd uint64
	Dropped   uint64 // outputs there was no room for; the sessions' stores have them
	Stale     uint64 // drafts of an earlier term, and of clients that were refused
	entry     Entry
}

// Sizes of the rings.
const (
	inBytes  = 1 << 20
	outBytes = 4 << 20
)

// NewPort makes a port. The functions end the other side's sleep; they are called
// only when it said that it sleeps.
func NewPort(wakeLoop, wakeCold func()) *Port {
	return &Port{in: NewRing(inBytes), out: NewRing(outBytes), wakeLoop: wakeLoop, wakeCold: wakeCold}
}

// Loop's side.

// Start begins to serve: what was drafted for an earlier term is stale, what was said
// in it and not let out is taken back.
func (p *Port) Start() {
	p.out.Drop()
	p.term++
	p.refusing = false
	p.beginClients()
	p.serving.Store(p.term)
	p.signalCold()
}

// clientShift is where a client term tells how often clients were refused; below it
// stands the lane's term.
const clientShift = 32

func (p *Port) beginClients() {
	p.refused++
	p.clientTerm = p.term | p.refused<<clientShift
	p.clients.Store(p.clientTerm)
}

// Refuse says whether clients are refused for now: what they drafted and the loop did not
// take yet is stale then, and their connections are to end.
func (p *Port) Refuse(on bool) {
	if on == p.refusing {
		return
	}
	if p.refusing = on; on {
		p.clientTerm = 0
		p.clients.Store(0)
	} else {
		p.beginClients()
	}
	p.signalCold()
}

// Stop ends serving.
func (p *Port) Stop() {
	if p.serving.Load() == 0 {
		return
	}
	p.serving.Store(0)
	p.clients.Store(0)
	p.out.Drop()
	p.signalCold()
}

// Room returns how many bytes Emit has room for.
func (p *Port) Room() int { return p.out.Room() }

// Next returns the oldest draft or question of this term; kind 0: none. Done frees it.
func (p *Port) Next() (kind uint8, payload []byte) {
	for {
		b := p.in.Next()
		if b == nil {
			return 0, nil
		}
		if term := binary.LittleEndian.Uint64(b[8:]); term == p.term || term == p.clientTerm {
			return b[0], b[DraftHeaderBytes:]
		}
		p.Stale++
		p.in.Done()
	}
}

// Done frees what Next returned.
func (p *Port) Done() { p.in.Done() }

// Emit writes an entry, which nobody sees before Release.
func (p *Port) Emit(e *Entry) bool {
	n := EntryHeaderBytes + len(e.Payload)
	b := p.out.Begin(n)
	if b == nil {
		p.Dropped++
		return false
	}
	b[0], b[1] = e.Kind, e.Flags
	binary.LittleEndian.PutUint16(b[2:], e.Session)
	binary.LittleEndian.PutUint32(b[4:], e.Cookie)
	binary.LittleEndian.PutUint64(b[8:], e.SeqNo)
	binary.LittleEndian.PutUint64(b[16:], e.Arg)
	binary.LittleEndian.PutUint64(b[24:], p.RecordEnd)
	binary.LittleEndian.PutUint64(b[32:], uint64(e.TimeNs))
	copy(b[EntryHeaderBytes:], e.Payload)
	p.out.End(n)
	return true
}

// Pending reports whether something emitted waits for its release.
func (p *Port) Pending() bool { return p.out.Unpublished() }

// Release lets the cold side see what was emitted for records up to allowed, and
// returns how many entries that were, and where the record of the last one ends.
func (p *Port) Release(allowed uint64) (n int, last uint64) {
	n = p.out.PublishWhile(func(b []byte) bool {
		end := binary.LittleEndian.Uint64(b[24:])
		if end > allowed {
			return false
		}
		last = end
		return true
	})
	if n > 0 {
		p.signalCold()
	}
	return n, last
}

func (p *Port) signalCold() {
	if p.attended.Load() > 0 {
		return // it looks once more when it ends
	}
	if p.coldAsleep.Load() != 0 && p.coldAsleep.CompareAndSwap(1, 0) {
		p.wakeCold()
	}
}

// LoopSleeps says that the loop is about to sleep; false: there is work. LoopWoke ends
// it.
func (p *Port) LoopSleeps() bool {
	p.loopAsleep.Store(1)
	if p.in.Empty() {
		return true
	}
	p.loopAsleep.Store(0)
	return false
}

// Attended reports whether somebody looks for entries and does not sleep: more drafts may
// come soon.
func (p *Port) Attended() bool { return p.attended.Load() > 0 }

// LoopWoke ends LoopSleeps.
func (p *Port) LoopWoke() { p.loopAsleep.Store(0) }

// The cold side.

// Serving returns the term in which the loop serves, 0 if it does not.
func (p *Port) Serving() uint64 { return p.serving.Load() }

// ServingClients returns the term of clients' drafts, 0 while they are refused or the loop
// does not serve.
func (p *Port) ServingClients() uint64 { return p.clients.Load() }

// Takes reports whether drafts of a term, the lane's or its clients', are taken.
func (p *Port) Takes(term uint64) bool {
	return term != 0 && (term == p.serving.Load() || term == p.clients.Load())
}

// LaneTerm is the lane's term of a client term.
func LaneTerm(term uint64) uint64 { return term & (1<<clientShift - 1) }

// Submit hands a draft or a question of a term to the loop; false: there is no room
// now. One goroutine at a time.
func (p *Port) Submit(kind uint8, term uint64, payload ...[]byte) bool {
	n := DraftHeaderBytes
	for _, b := range payload {
		n += len(b)
	}
	to := p.in.Begin(n)
	if to == nil {
		return false
	}
	clear(to[:8])
	to[0] = kind
	binary.LittleEndian.PutUint64(to[8:], term)
	at := DraftHeaderBytes
	for _, b := range payload {
		at += copy(to[at:], b)
	}
	p.in.End(n)
	return true
}

// Flush makes what was submitted visible to the loop. The same goroutine.
func (p *Port) Flush() {
	p.in.Publish()
	if p.loopAsleep.Load() != 0 && p.loopAsleep.CompareAndSwap(1, 0) {
		p.wakeLoop()
	}
}

// Take returns the oldest released entry, nil if there is none. It and its payload
// stay valid until Taken. One goroutine.
func (p *Port) Take() *Entry {
	b := p.out.Next()
	if b == nil {
		return nil
	}
	p.entry = Entry{Kind: b[0], Flags: b[1], Session: binary.LittleEndian.Uint16(b[2:]), Cookie: binary.LittleEndian.Uint32(b[4:]),
		SeqNo: binary.LittleEndian.Uint64(b[8:]), Arg: binary.LittleEndian.Uint64(b[16:]),
		RecordEnd: binary.LittleEndian.Uint64(b[24:]), TimeNs: int64(binary.LittleEndian.Uint64(b[32:])), Payload: b[EntryHeaderBytes:]}
	return &p.entry
}

// Taken frees what Take returned.
func (p *Port) Taken() { p.out.Done() }

// Attend says that somebody looks for entries and does not sleep: nobody has to be woken
// for them. One at a time; false: there is one. Unattend ends it; then it looks once
// more.
func (p *Port) Attend() bool { return p.attended.CompareAndSwap(0, 1) }

// Unattend ends Attend; true: something was released meanwhile.
func (p *Port) Unattend() bool {
	p.attended.Store(0)
	return !p.out.Empty()
}

// ColdSleeps says that whoever takes is about to sleep; false: there is something.
// ColdWoke ends it.
func (p *Port) ColdSleeps() bool {
	p.coldAsleep.Store(1)
	if p.out.Empty() {
		return true
	}
	p.coldAsleep.Store(0)
	return false
}

// ColdWoke ends ColdSleeps.
func (p *Port) ColdWoke() { p.coldAsleep.Store(0) }
