package fix

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"onebeat/engine/cold"
	"onebeat/engine/fix/store"
)

// Acceptor speaks FIX with clients, on behalf of a lane's loop.
type Acceptor struct {
	cfg    Config
	port   *cold.Port
	Counts Counts

	submitting  sync.Mutex // of the port's producer side
	handshaking sync.Mutex // one computes

	mu      sync.Mutex
	conns   map[uint32]*conn // by cookie
	users   []*conn          // by session: who is logged on, or about to be
	pending map[netip.Addr]int
	waiting int // connections before their Logon
	awaited int // connections that came before the loop serves
	cookie  uint32
	closed  bool
	logs    *messageLog

	beginNs  atomic.Int64 // beginTimeout, but in a test
	talking  atomic.Bool  // Config.Talk was told so
	talkedNs atomic.Int64 // when a session was last attended
	talkMu   sync.Mutex

	pump    pump
	started time.Time
	stop    chan struct{}
	running sync.WaitGroup
	status  []sessionStatus
}

// sessionStatus is what a session was last seen as, for people.
type sessionStatus struct {
	in, out atomic.Uint64
}

// NewAcceptor makes an acceptor on a lane's port. wait blocks until the port's wakeCold
// was called, or a while; Close must end it by calling what wakes it.
func NewAcceptor(cfg Config, port *cold.Port, wait, wake func()) (*Acceptor, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	for _, s := range cfg.Sessions {
		if s.Target == "" {
			continue
		}
		if _, err := newChecker(s.Version, s.Validate, s.AllowUser); err != nil {
			return nil, err
		}
	}
	a := &Acceptor{cfg: cfg, port: port, conns: map[uint32]*conn{}, users: make([]*conn, len(cfg.Sessions)),
		pending: map[netip.Addr]int{}, stop: make(chan struct{}), started: time.Now(), status: make([]sessionStatus, len(cfg.Sessions))}
	a.beginNs.Store(int64(beginTimeout))
	var err error
	if a.logs, err = newMessageLog(cfg.MessageLog, &a.Counts, cfg.Log); err != nil {
		return nil, err
	}
	a.pump = pump{a: a, wait: wait, wake: wake, live: make([]*conn, len(cfg.Sessions))}
	a.running.Add(2)
	go a.pump.run()
	go a.runClock()
	a.startInitiators()
	return a, nil
}

// nowNs is monotonic.
func (a *Acceptor) nowNs() int64 { return int64(time.Since(a.started)) }

// silentNs is how long no session is attended before Talk hears of it.
const silentNs = int64(time.Second)

// talk notes that a session is attended.
func (a *Acceptor) talk() {
	a.talkedNs.Store(a.nowNs())
	if !a.talking.Load() {
		a.setTalking(true)
	}
}

// setTalking tells of a change.
func (a *Acceptor) setTalking(on bool) {
	a.talkMu.Lock()
	defer a.talkMu.Unlock()
	if a.talking.Load() != on && a.cfg.Talk != nil {
		a.cfg.Talk(on)
	}
	a.talking.Store(on)
}

// Serve accepts connections until the listener is closed.
func (a *Acceptor) Serve(l net.Listener) error {
	delay := time.Millisecond
	for {
		c, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			var temporary interface{ Timeout() bool }
			if !errors.As(err, &temporary) && a.isClosed() {
				return nil
			}
			// Out of descriptors, most likely: others may leave.
			select {
			case <-a.stop:
				return nil
			case <-time.After(delay):
			}
			delay = min(2*delay, time.Second)
			continue
		}
		delay = time.Millisecond
		a.admit(c)
	}
}

func (a *Acceptor) isClosed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.closed
}

// admit takes a connection in, or sends it away without a word.
func (a *Acceptor) admit(nc net.Conn) {
	a.Counts.add(CountConnections)
	term := a.port.ServingClients()
	switch {
	case term != 0:
		a.enter(nc, term)
	case a.port.Serving() == 0 && a.mayAwait():
		go a.await(nc)
	default:
		a.sendAway(nc)
	}
}

// mayAwait counts one in that waits for the loop.
func (a *Acceptor) mayAwait() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed || a.awaited == a.cfg.PendingMax {
		return false
	}
	a.awaited++
	a.running.Add(1)
	return true
}

func (a *Acceptor) awaitedOne() {
	a.mu.Lock()
	a.awaited--
	a.mu.Unlock()
	a.running.Done()
}

// sendAway ends a connection while the lane takes nobody in.
func (a *Acceptor) sendAway(nc net.Conn) {
	if a.port.Serving() != 0 {
		a.Counts.add(CountRefusing)
	} else {
		a.Counts.add(CountNotServing)
	}
	abort(nc)
}

// beginTimeout is how long a lane that was just promoted may take until its loop serves:
// a client that came a moment too soon, and was sent away, would come again a second later.
const (
	beginTimeout = 200 * time.Millisecond
	beginEvery   = time.Millisecond
)

// await lets a connection in as soon as the loop serves.
func (a *Acceptor) await(nc net.Conn) {
	defer a.awaitedOne()
	for deadline := time.Now().Add(time.Duration(a.beginNs.Load())); time.Now().Before(deadline) && a.port.Serving() == 0; {
		if !a.pause(beginEvery) {
			break
		}
	}
	if term := a.port.ServingClients(); term != 0 {
		a.enter(nc, term)
	} else {
		a.sendAway(nc)
	}
}

// enter takes a connection into a term of the lane.
func (a *Acceptor) enter(nc net.Conn, term uint64) {
	c := &conn{a: a, net: nc, term: term, states: make(chan stateIs, 1), ended: make(chan struct{}), drained: make(chan struct{})}
	if at, ok := netip.AddrFromSlice(addressOf(nc)); ok {
		c.addr = at.Unmap()
	}
	if why, ok := a.register(c); !ok {
		a.Counts.add(why)
		abort(nc)
		return
	}
	if !a.port.Takes(term) { // it ended before the pump could find the connection
		a.forget(c)
		abort(nc)
		return
	}
	a.running.Add(1)
	go func() {
		defer a.running.Done()
		c.run()
	}()
}

func addressOf(nc net.Conn) net.IP {
	if t, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		return t.IP
	}
	return nil
}

func (a *Acceptor) register(c *conn) (why Counter, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.closed:
		return CountNotServing, false
	case len(a.conns) >= a.cfg.ConnectionsMax:
		return CountTooMany, false
	case a.waiting >= a.cfg.PendingMax:
		return CountTooManyPending, false
	case a.pending[c.addr] >= a.cfg.PerAddressMax:
		return CountTooManyOfAddress, false
	}
	for a.cookie++; a.cookie == 0 || a.conns[a.cookie] != nil; a.cookie++ {
	}
	c.cookie = a.cookie
	a.conns[c.cookie] = c
	a.waiting++
	a.pending[c.addr]++
	return 0, true
}

// passed takes a connection off the pending ones.
func (a *Acceptor) passed(c *conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c.past {
		return
	}
	c.past = true
	a.waiting--
	if a.pending[c.addr]--; a.pending[c.addr] == 0 {
		delete(a.pending, c.addr)
	}
}

// leaveTimeout is how long a connection that ended may take to leave its session,
// endTimeout how long one may take whose end is not seen yet: a client that connects
// again at once may be faster than its last connection's FIN or RST.
const (
	leaveTimeout = time.Second
	endTimeout   = 100 * time.Millisecond
)

// claim makes a connection the one of its session; false: there is one. One that ended
// and is about to leave is waited for: its peer may be faster.
func (a *Acceptor) claim(c *conn, at int) bool {
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		a.mu.Lock()
		holder := a.users[at]
		if holder == nil || holder == c {
			a.users[at] = c
			a.mu.Unlock()
			return true
		}
		a.mu.Unlock()
		limit := endTimeout
		if holder.isEnded() {
			limit = leaveTimeout
		}
		if time.Since(begin) > limit {
			return false
		}
	}
}

// release leaves a connection's session to the next one.
func (a *Acceptor) release(c *conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.users[c.at] == c {
		a.users[c.at] = nil
	}
}

func (a *Acceptor) forget(c *conn) {
	a.passed(c)
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.conns, c.cookie)
	for i, user := range a.users {
		if user == c {
			a.users[i] = nil
		}
	}
}

// byCookie finds a connection.
func (a *Acceptor) byCookie(cookie uint32) *conn {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.conns[cookie]
}

func (a *Acceptor) all() []*conn {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := make([]*conn, 0, len(a.conns))
	for _, c := range a.conns {
		list = append(list, c)
	}
	return list
}

// Close ends all connections: with a Logout, as far as the lane still takes one, if ctx
// allows it the time.
func (a *Acceptor) Close(ctx context.Context) error {
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		return nil
	}
	a.closed = true
	a.mu.Unlock()
	if ctx.Err() == nil && a.port.Serving() != 0 {
		a.logoutAll(ctx)
	}
	close(a.stop)
	for _, c := range a.all() {
		c.close()
	}
	a.pump.wake()
	a.running.Wait()
	a.setTalking(false)
	a.logs.close()
	return nil
}

func (a *Acceptor) logoutAll(ctx context.Context) {
	for _, c := range a.all() {
		c.mu.Lock()
		if c.state == loggedOn {
			c.logout("The server is going down", nil)
		}
		c.mu.Unlock()
	}
	a.flush()
	for len(a.all()) > 0 {
		select {
		case <-ctx.Done():
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// SessionInfo is a session as its connection has it.
type SessionInfo struct {
	Name, ID, Address string
	LoggedOn          bool
	NextIn, LastOut   uint64
}

// Sessions tells of the sessions, in their order.
func (a *Acceptor) Sessions() []SessionInfo {
	list := make([]SessionInfo, len(a.cfg.Sessions))
	a.mu.Lock()
	users := append([]*conn(nil), a.users...)
	a.mu.Unlock()
	for i := range list {
		s := &a.cfg.Sessions[i]
		list[i] = SessionInfo{Name: s.Name, ID: s.ID.String(), NextIn: a.status[i].in.Load(), LastOut: a.status[i].out.Load()}
		if c := users[i]; c != nil {
			list[i].LoggedOn, list[i].Address, list[i].ID = c.live.Load(), c.net.RemoteAddr().String(), c.id.String()
		}
	}
	return list
}

// submitEvery is how often a full ring is tried again.
const submitEvery = 50 * time.Microsecond

var errStale = errors.New("the lane is served by another term or node")

// submit hands one draft to the loop, in parts if it must; it waits while the lane
// takes nothing in. It becomes visible by flush.
func (a *Acceptor) submit(term uint64, h *store.Header, body []byte) error {
	a.submitting.Lock()
	defer a.submitting.Unlock()
	var b [store.HeaderBytes]byte
	for first := true; len(body) > bodyMax; first = false {
		part := store.Header{Session: h.Session, Kind: store.Part, Cookie: h.Cookie}
		if first {
			part.Flags = store.FirstPart
		}
		part.Put(b[:])
		if err := a.put(cold.Draft, term, b[:], body[:bodyMax]); err != nil {
			return err
		}
		body = body[bodyMax:]
		h.Flags |= store.Joined
	}
	h.Put(b[:])
	return a.put(cold.Draft, term, b[:], body)
}

func (a *Acceptor) put(kind uint8, term uint64, parts ...[]byte) error {
	for !a.port.Submit(kind, term, parts...) {
		a.port.Flush()
		if !a.port.Takes(term) {
			return errStale
		}
		time.Sleep(submitEvery)
	}
	return nil
}

// ask hands a question to the loop.
func (a *Acceptor) ask(term uint64, q *store.Question) error {
	a.submitting.Lock()
	defer a.submitting.Unlock()
	var b [32]byte
	return a.put(cold.Ask, term, q.Append(b[:0]))
}

// tryAsk does not wait; false: not now.
func (a *Acceptor) tryAsk(term uint64, q *store.Question) bool {
	if !a.submitting.TryLock() {
		return false
	}
	defer a.submitting.Unlock()
	var b [32]byte
	if !a.port.Submit(cold.Ask, term, q.Append(b[:0])) {
		return false
	}
	a.port.Flush()
	return true
}

// flush shows the loop what was submitted.
func (a *Acceptor) flush() {
	a.submitting.Lock()
	a.port.Flush()
	a.submitting.Unlock()
}
