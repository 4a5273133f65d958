package fix

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"onebeat/engine/cold"
	"onebeat/engine/fix/store"
	"onebeat/mirror/ring"
)

// bodyMax is what of a draft's body fits into one record.
const bodyMax = ring.MaxPayloadBytes - store.HeaderBytes

// connState is how far a connection is.
//
//	waiting --Logon--> loggedOn --Logout--> loggingOut --Logout, time--> ended
//	   any --error, end of the term--> ended
type connState uint8

const (
	waiting connState = iota
	loggedOn
	loggingOut
)

// stateIs is a session's state as the loop told it.
type stateIs struct {
	store.State
	blocked bool
}

// conn is one connection.
type conn struct {
	a      *Acceptor
	net    net.Conn
	addr   netip.Addr
	cookie uint32
	term   uint64
	past   bool // counted as pending no more; under a.mu
	states chan stateIs
	ended  chan struct{}
	once   sync.Once

	// The session's rules: under mu.
	mu          sync.Mutex
	state       connState
	cfg         *Session // nil until its Logon names it
	at          int
	id          store.ID
	check       *checker
	nextIn      uint64 // of the client, drafts on their way counted
	heartbeatNs int64
	createdAt   time.Time
	tested      bool // a TestRequest is unanswered
	logoutNs    int64
	stash       map[uint64]stashed
	stashBytes  int
	gapEnd      uint64 // the numbers asked for end here; 0: none are missing
	left        bool   // the lane knows that the session ended
	body        []byte
	fields      []byte
	order       [256]byte
	tokens      float64
	tokensAtNs  int64

	live      atomic.Bool // its Logon is answered
	written   atomic.Uint64
	lastInNs  atomic.Int64
	lastOutNs atomic.Int64

	// What goes out: under wmu.
	wmu              sync.Mutex
	out              []byte
	hold             []byte // new messages behind a resend
	resends          []resend
	scratch          []byte
	greeting         bool // the venue has not answered our Logon: nothing else leaves
	dirty            bool // in the pump's list; the pump's
	closeAfterLogout bool
	closeOnDrain     bool
	drained          chan struct{} // closed when the last message left
	writing          bool          // a goroutine writes
	raw              syscall.RawConn
	wrote            int
	writeFn          func(fd uintptr) bool

	// The reader's.
	readInto []byte
	got      int
	readErr  error
	readFn   func(fd uintptr) bool
	hushed   bool // the kernel wakes nobody for what comes
}

// tcp is what a *net.TCPConn has, and what wraps one.
type tcp interface {
	SetNoDelay(bool) error
	SetLinger(seconds int) error
	syscall.Conn
}

// abort ends a connection that nobody may wait for.
func abort(nc net.Conn) {
	if t, ok := nc.(tcp); ok {
		_ = t.SetLinger(0)
	}
	_ = nc.Close()
}

func (c *conn) close() {
	c.once.Do(func() {
		close(c.ended)
		_ = c.net.Close()
	})
}

func (c *conn) isEnded() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// run is the connection's life.
func (c *conn) run() {
	defer c.a.forget(c)
	defer c.close()
	deadline := time.Now().Add(c.a.cfg.LogonTimeout)
	_ = c.net.SetDeadline(deadline)
	if t, ok := c.net.(tcp); ok {
		_ = t.SetNoDelay(true)
		if c.a.cfg.TLS == nil {
			c.useRaw(t)
		}
	}
	if c.a.cfg.TLS != nil {
		if err := c.handshake(); err != nil {
			c.a.Counts.add(CountHandshake)
			return
		}
	}
	r := reader{c: c, buf: make([]byte, 0, firstBytes)}
	m, err := r.first()
	if err != nil {
		return
	}
	if !c.logon(m) {
		if c.cfg != nil {
			c.a.release(c)
		}
		c.drain()
		return
	}
	c.a.passed(c)
	_ = c.net.SetDeadline(time.Time{})
	r.buf = append(make([]byte, 0, 16<<10), r.buf...)
	r.rest()
	c.leave()
}

// firstBytes is room for a first message: more is had by who is let in.
const firstBytes = 1 << 10

// reader takes messages off a connection.
type reader struct {
	c     *conn
	buf   []byte
	taken int  // messages of the last read
	over  bool // a read that does not wait found an end, or an error: one that waits tells which
}

var errGarbage = errors.New("no FIX message")

// first reads the first message, which must be whole and right. What goes before it is
// no garbage that a client of ours sends.
func (r *reader) first() ([]byte, error) {
	for {
		if err := r.more(); err != nil {
			if errors.Is(err, errGarbage) {
				r.c.a.Counts.add(CountGarbage)
			} else if !errors.Is(err, io.EOF) {
				r.c.a.Counts.add(CountLogonTimeout)
			}
			return nil, err
		}
		begin := []byte("8=FIX.4.")
		if n := min(len(begin), len(r.buf)); string(r.buf[:n]) != string(begin[:n]) {
			r.c.a.Counts.add(CountGarbage)
			return nil, errGarbage
		}
		done, m, good, tooLong := cut(r.buf, r.c.a.cfg.MessageMax)
		if tooLong || m != nil && !good || m == nil && (done > 0 || len(r.buf) > 2*r.c.a.cfg.MessageMax) {
			r.c.a.Counts.add(CountGarbage)
			return nil, errGarbage
		}
		if m != nil {
			m = append([]byte(nil), m...)
			r.buf = r.buf[:copy(r.buf, r.buf[done:])]
			return m, nil
		}
	}
}

// room makes some for a read.
func (r *reader) room() error {
	if len(r.buf) == cap(r.buf) {
		if cap(r.buf) > 4*r.c.a.cfg.MessageMax+(64<<10) {
			return errGarbage
		}
		r.buf = append(r.buf, 0)[:len(r.buf)]
	}
	return nil
}

// tryMore reads what there is now; false: nothing, or its end.
func (r *reader) tryMore() bool {
	c := r.c
	if r.room() != nil {
		r.over = true
		return false
	}
	c.readInto, c.got, c.readErr = r.buf[len(r.buf):cap(r.buf)], 0, nil
	if err := c.raw.Read(c.readFn); err != nil {
		r.over = true
		return false
	}
	if c.got > 0 {
		r.buf = r.buf[:len(r.buf)+c.got]
		c.a.Counts[CountBytesIn].Add(uint64(c.got))
		return true
	}
	r.over = c.readErr != unix.EAGAIN && c.readErr != unix.EINTR
	return false
}

// hushBytes is what the kernel lets come before it wakes anybody for an attended socket,
// well below its buffer.
const hushBytes = 32 << 10

// hush tells the kernel whether what comes may wake somebody. While the socket is looked
// at, its wake-ups only take a core from those who work: the runtime's poller sees each,
// finds nobody who waits, and starts a thread to look for more. The option that ends it
// tells the poller of what came meanwhile (tcp_set_rcvlowat in net/ipv4/tcp.c); an end of
// the stream is told in any case (tcp_fin).
func (r *reader) hush(on bool) {
	c := r.c
	if c.raw == nil || c.hushed == on {
		return
	}
	c.hushed = on
	least := 1
	if on {
		least = hushBytes
	}
	_ = c.raw.Control(func(fd uintptr) {
		if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVLOWAT, least) != nil {
			c.hushed = false
		}
	})
}

// more reads what there is, and waits for it.
func (r *reader) more() error {
	if err := r.room(); err != nil {
		return err
	}
	r.hush(false)
	n, err := r.c.net.Read(r.buf[len(r.buf):cap(r.buf)])
	r.buf = r.buf[:len(r.buf)+n]
	r.c.a.Counts[CountBytesIn].Add(uint64(n))
	if n > 0 {
		return nil
	}
	return err
}

// rest reads until the connection ends.
func (r *reader) rest() {
	defer r.hush(false)
	for {
		if !r.handle() {
			return
		}
		r.c.a.flush()
		if r.taken == 0 || !r.c.a.pump.attend(r) {
			if err := r.more(); err != nil {
				return
			}
		}
		if r.c.isEnded() {
			return
		}
		r.c.lastInNs.Store(r.c.a.nowNs())
	}
}

// handle takes the whole messages of the buffer; false: no more of them.
func (r *reader) handle() bool {
	c := r.c
	at := 0
	r.taken = 0
	for {
		done, m, good, tooLong := cut(r.buf[at:], c.a.cfg.MessageMax)
		at += done
		if tooLong {
			c.a.Counts.add(CountTooLong)
			return false
		}
		if m == nil {
			if done == 0 {
				break
			}
			continue
		}
		if !good {
			c.a.Counts.add(CountGarbled)
			continue
		}
		r.taken++
		c.a.Counts.add(CountMessagesIn)
		c.throttle()
		c.mu.Lock()
		ok := c.incoming(m)
		c.mu.Unlock()
		if !ok {
			c.leave() // who sees the end may log on again at once
			c.drain()
			return false
		}
	}
	r.buf = r.buf[:copy(r.buf, r.buf[at:])]
	return true
}

// throttle waits while the client is faster than it may.
func (c *conn) throttle() {
	if c.cfg.Rate == 0 {
		return
	}
	nowNs := c.a.nowNs()
	c.tokens = min(float64(c.cfg.Burst), c.tokens+float64(nowNs-c.tokensAtNs)*float64(c.cfg.Rate)/1e9)
	c.tokensAtNs = nowNs
	if c.tokens--; c.tokens >= 0 {
		return
	}
	c.a.Counts.add(CountThrottled)
	c.a.flush()
	wait := time.Duration(-c.tokens / float64(c.cfg.Rate) * 1e9)
	select {
	case <-time.After(wait):
	case <-c.ended:
	}
	c.lastInNs.Store(c.a.nowNs())
}

// drainTimeout is how long a last message may take to leave.
const drainTimeout = 2 * time.Second

// drain waits until what was said last is on its way and the client has gone, or was
// given the time.
func (c *conn) drain() {
	c.wmu.Lock()
	waits := c.closeAfterLogout
	c.wmu.Unlock()
	if !waits {
		return
	}
	select {
	case <-c.drained:
	case <-c.ended:
		return
	case <-time.After(drainTimeout):
		return
	}
	if t, ok := c.net.(interface{ CloseWrite() error }); ok && t.CloseWrite() == nil {
		// A close while something is unread would take back what was written.
		_ = c.net.SetReadDeadline(time.Now().Add(c.cfg.LogoutTimeout))
		_, _ = io.Copy(io.Discard, io.LimitReader(c.net, 1<<20))
	}
}

// tellDrained ends drain's wait; c.wmu is held.
func (c *conn) tellDrained() {
	if c.closeOnDrain && len(c.hold) == 0 {
		c.closeOnDrain = false
		close(c.drained)
	}
}

func (c *conn) useRaw(t syscall.Conn) {
	raw, err := t.SyscallConn()
	if err != nil {
		return
	}
	c.raw = raw
	c.writeFn = func(fd uintptr) bool {
		c.wrote, _ = rawWrite(fd, c.out)
		return true // whatever it took: nobody waits here
	}
	c.readFn = func(fd uintptr) bool {
		c.got, c.readErr = rawRead(fd, c.readInto)
		return true
	}
}

// send writes what waits; c.wmu is held. What the socket does not take now is a
// goroutine's.
func (c *conn) send() {
	if c.isEnded() {
		c.out, c.hold = nil, nil
		return
	}
	if len(c.out) > 0 {
		c.written.Add(1)
		c.lastOutNs.Store(c.a.nowNs())
	}
	if c.raw != nil && !c.writing && len(c.out) > 0 {
		c.wrote = 0
		if err := c.raw.Write(c.writeFn); err == nil && c.wrote > 0 {
			c.a.Counts[CountBytesOut].Add(uint64(c.wrote))
			c.out = c.out[:copy(c.out, c.out[c.wrote:])]
		}
	}
	if len(c.out)+len(c.hold) > c.a.cfg.BacklogMax {
		c.a.Counts.add(CountSlow)
		go c.close()
		return
	}
	switch {
	case len(c.out) > 0 && !c.writing:
		c.writing = true
		go c.writeRest()
	case len(c.out) == 0 && !c.writing:
		c.tellDrained()
	}
}

// writeRest writes what the socket had no room for.
func (c *conn) writeRest() {
	for {
		c.wmu.Lock()
		b := c.out
		c.out = nil
		if len(b) == 0 {
			c.writing = false
			c.tellDrained()
			c.wmu.Unlock()
			return
		}
		c.wmu.Unlock()
		n, err := c.net.Write(b)
		c.a.Counts[CountBytesOut].Add(uint64(n))
		if err != nil {
			c.close()
			return
		}
	}
}

// tellState hands the loop's answer to the Logon that waits for it.
func (c *conn) tellState(e *cold.Entry) {
	s, ok := store.ParseState(e)
	if !ok {
		return
	}
	select {
	case c.states <- stateIs{State: s, blocked: e.Flags&store.FlagBlocked != 0}:
	default:
	}
}
