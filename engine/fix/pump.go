package fix

import (
	"bytes"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"onebeat/engine/cold"
	"onebeat/engine/fix/convert"
	"onebeat/engine/fix/store"
)

// pump takes what the loop lets out to the connections. It waits for nobody: a
// connection that cannot take more has a goroutine of its own, or is closed.
type pump struct {
	mu         sync.Mutex // whoever takes: the pump, or a reader that waits for its answer
	a          *Acceptor
	wait, wake func()
	live       []*conn // by session
	dirty      []*conn // with something to write
	term       uint64
	clients    uint64     // term of clients' drafts
	later      []laterAsk // questions the ring had no room for
}

type laterAsk struct {
	term uint64
	q    store.Question
}

// pumpBatch bounds the entries between two writes.
const pumpBatch = 256

func (p *pump) run() {
	defer p.a.running.Done()
	port := p.a.port
	for {
		p.mu.Lock()
		n := p.drain()
		owes := len(p.later) > 0
		p.lookAtTerms()
		term, clients := p.term, p.clients
		p.mu.Unlock()
		if n > 0 {
			continue
		}
		if owes {
			time.Sleep(submitEvery)
			continue
		}
		select {
		case <-p.a.stop:
			return
		default:
		}
		if port.ColdSleeps() {
			if port.Serving() == term && port.ServingClients() == clients {
				p.wait()
			}
			port.ColdWoke()
		}
	}
}

// drain takes and writes a batch; p.mu is held.
func (p *pump) drain() int {
	n := 0
	for ; n < pumpBatch; n++ {
		e := p.a.port.Take()
		if e == nil {
			break
		}
		p.take(e)
		p.a.port.Taken()
	}
	p.write()
	p.askLater()
	return n
}

// attendNs is how long a session is looked at after its last message. Within it what its
// client sends next, and what it gets, costs nobody a wake-up.
const attendNs = 1_000_000

// attend looks for the answers to what a reader just drafted, and for what its client
// sends next; true: that came. One reader at a time does it, for all the sessions'
// answers; others leave them to the pump and sleep until the kernel wakes them. It blocks
// nowhere but in giving its core to whoever else can use it.
func (p *pump) attend(r *reader) (came bool) {
	if !p.a.port.Attend() {
		return false
	}
	p.a.talk()
	r.hush(true)
	came = p.look(r)
	p.mu.Lock()
	owes := len(p.later) > 0
	p.mu.Unlock()
	if p.a.port.Unattend() || owes || !p.a.port.Takes(r.c.term) {
		p.wake()
	}
	return came
}

func (p *pump) look(r *reader) (came bool) {
	c := r.c
	before, end := c.written.Load(), p.a.nowNs()+attendNs
	for p.a.nowNs() < end && p.a.port.Takes(c.term) {
		if p.mu.TryLock() {
			n := p.drain()
			p.mu.Unlock()
			if n > 0 {
				continue
			}
		}
		switch {
		case c.raw == nil:
			if c.written.Load() != before {
				return false // TLS: only a read that may wait can tell what came
			}
		case r.tryMore():
			return true
		case r.over:
			return false
		}
		_, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
	}
	return false
}

// lookAtTerms closes what belongs to an earlier term, of the lane or of its clients: its
// peers come again.
func (p *pump) lookAtTerms() {
	port := p.a.port
	term, clients := port.Serving(), port.ServingClients()
	if term == p.term && clients == p.clients {
		return
	}
	if term != p.term {
		clear(p.live)
		p.later = p.later[:0]
	}
	p.term, p.clients = term, clients
	for _, c := range p.a.all() {
		if c.term != term && c.term != clients {
			c.close()
		}
	}
}

func (p *pump) take(e *cold.Entry) {
	if int(e.Session) >= len(p.live) {
		return
	}
	switch e.Kind {
	case store.Sent:
		p.sent(e)
	case store.Kept, store.Asked:
		if c := p.a.byCookie(e.Cookie); c != nil {
			p.resend(c, e)
		}
	case store.StateIs:
		if c := p.a.byCookie(e.Cookie); c != nil {
			c.tellState(e)
		}
	case store.Broken:
		if e.Cookie == 0 {
			if c := p.live[e.Session]; c != nil {
				c.close() // an operator's word
			}
			return
		}
		if c := p.a.byCookie(e.Cookie); c != nil {
			c.close()
		}
	}
}

// sent writes a new message to the connection of its session. A Logon's is live from
// there on; what goes to a session without one is in the store.
func (p *pump) sent(e *cold.Entry) {
	p.a.status[e.Session].out.Store(e.SeqNo)
	kind := msgTypeOf(e.Payload)
	c := p.live[e.Session]
	if c != nil && c.isEnded() {
		c, p.live[e.Session] = nil, nil
	}
	if e.Cookie != 0 && (c == nil || c.cookie != e.Cookie) {
		p.lookAtTerms() // its first message may come before we did
		if own := p.a.byCookie(e.Cookie); own != nil && (own.term == p.term || own.term == p.clients) {
			c = own
			if kind == 'A' {
				p.live[e.Session] = own
				own.live.Store(true)
			}
		}
	}
	if c == nil {
		return
	}
	p.a.Counts.add(CountMessagesOut)
	p.a.logs.message(int(e.Session), false, e.Payload)
	c.wmu.Lock()
	if (len(c.resends) > 0 || c.greeting) && kind != 'A' {
		// Behind what is sent again, whatever it is: numbers come in order.
		c.hold = append(c.hold, e.Payload...)
	} else {
		c.out = append(c.out, e.Payload...)
	}
	if kind == '5' && c.closeAfterLogout {
		c.closeOnDrain = true
	}
	p.touch(c)
	c.wmu.Unlock()
}

func (p *pump) touch(c *conn) {
	if !c.dirty {
		c.dirty = true
		p.dirty = append(p.dirty, c)
	}
}

func (p *pump) write() {
	for _, c := range p.dirty {
		c.wmu.Lock()
		c.dirty = false
		c.send()
		c.wmu.Unlock()
	}
	p.dirty = p.dirty[:0]
}

func (p *pump) askLater() {
	for len(p.later) > 0 && p.a.tryAsk(p.later[0].term, &p.later[0].q) {
		p.later = p.later[1:]
	}
}

// msgTypeOf reads the type of a message of ours; 0: of more than one character.
func msgTypeOf(m []byte) byte {
	i := bytes.Index(m, []byte("\x0135="))
	if i < 0 || len(m) < i+6 || m[i+5] != convert.SOH {
		return 0
	}
	return m[i+4]
}

func isAdmin(kind byte) bool {
	switch kind {
	case '0', '1', '2', '3', '4', '5', 'A':
		return true
	}
	return false
}
