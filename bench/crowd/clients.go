package crowd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"onebeat/bench/scene"
	"onebeat/engine/client"
	"onebeat/engine/client/conn"
	"onebeat/engine/fixp"
	"onebeat/engine/sbe"
	"onebeat/xdp"
	"onebeat/xdp/frame"
)

const (
	localPort = 40_000
	rxBatch   = 64
	// pollAtOnce is how many of the clients that nothing came for are asked in a cycle
	// whether they have something to say.
	pollAtOnce  = 8
	keepAliveNs = 5_000_000_000
	window      = 64
	resolveTime = 10 * time.Second
)

// ErrNoAnswer means that something did not come in time.
var ErrNoAnswer = errors.New("no answer")

// order is one that was sent.
type order struct {
	dueNs, firstNs int64
	accepted       int // reports that say New
}

// member is one session's client.
type member struct {
	of     *clients
	client *client.Client
	orders []order // by ClOrdID, from 1
	open   int     // without an answer
	busy   bool    // in the list of those who have something to send
}

// clients share a socket.
type clients struct {
	clock    conn.Clock
	port     xdp.Port
	headers  frame.Template
	local    frame.Endpoint
	remote   frame.Endpoint
	members  []*member
	byID     map[sbe.UUID]*member
	busy     []*member
	next     int // member to be asked next
	nowNs    int64
	reserved []byte
	pending  int
	answered uint64
	foreign  uint64
}

// sessionID is that of the i-th session of a lane; the first is the scene's.
func sessionID(i int) (id sbe.UUID) {
	copy(id[:], "crowd-of-session")
	binary.BigEndian.PutUint32(id[12:], uint32(i))
	return id
}

// open opens a client for each of n sessions, on a NIC of the thread's namespace.
func open(nic string, lane netip.AddrPort, n, stride int) (*clients, error) {
	clock, err := conn.NewClock()
	if err != nil {
		return nil, err
	}
	x, err := xdp.Inspect(nic)
	if err != nil {
		return nil, err
	}
	port, err := xdp.OpenEndpoint(xdp.Options{Interface: nic}, x.IPv4.Addr(), localPort)
	if err != nil {
		return nil, err
	}
	mac, err := xdp.Resolve(nic, lane.Addr(), resolveTime)
	if err != nil {
		return nil, errors.Join(err, port.Close())
	}
	c := &clients{clock: clock, port: port, byID: map[sbe.UUID]*member{},
		local:  frame.Endpoint{MAC: x.MAC, Port: localPort, IP: x.IPv4.Addr().As16()},
		remote: frame.Endpoint{MAC: mac, Port: lane.Port(), IP: lane.Addr().As16()}}
	for i := range n {
		id := sessionID(i * stride)
		m := &member{of: c}
		m.client, err = client.New(client.Config{Session: id, Key: fixp.NewKey(scene.Credentials), Window: window, KeepAliveNs: keepAliveNs, UnixNs: uint64(time.Now().UnixNano())}, m)
		if err != nil {
			return nil, errors.Join(err, port.Close())
		}
		c.members, c.byID[id] = append(c.members, m), m
	}
	return c, nil
}

// OnReport implements client.Handler.
func (m *member) OnReport(_ *client.Answer, r *sbe.ExecutionReport) {
	m.answer(r.ClOrdID(), r.ExecType() == sbe.ExecTypeNew)
}

// OnReject implements client.Handler.
func (m *member) OnReject(_ *client.Answer, r *sbe.Reject) { m.answer(r.ClOrdID(), false) }

func (m *member) answer(id uint64, accepted bool) {
	if id == 0 || id > uint64(len(m.orders)) {
		return
	}
	o := &m.orders[id-1]
	if accepted {
		o.accepted++
	}
	if o.firstNs == 0 {
		o.firstNs = m.of.nowNs
		m.open--
		m.of.answered++
	}
}

// send hands an order that was due to its client.
func (m *member) send(dueNs int64) bool {
	id := uint64(len(m.orders) + 1)
	o := client.Order{ClOrdID: id, PriceTicks: scene.ReferencePrice, SymbolID: scene.SymbolID, QtyLots: 1, Side: sbe.SideBuy + sbe.Side(m.of.answered&1), OrdType: sbe.OrdTypeLimit}
	if !m.client.SendOrder(&o, m.of.nowNs) {
		return false
	}
	m.orders = append(m.orders, order{dueNs: dueNs})
	m.open++
	m.wake()
	return true
}

// wake has the client asked in this cycle.
func (m *member) wake() {
	if !m.busy {
		m.busy = true
		m.of.busy = append(m.of.busy, m)
	}
}

// receive gives what came to whom it is for.
func (c *clients) receive() int {
	c.nowNs = c.clock.NowNs()
	n := c.port.Recv(rxBatch)
	for i := range n {
		var from frame.Endpoint
		b := c.port.Frame(i)
		payload, port, ok := frame.VLAN(0).Parse(b, &from)
		// Every datagram of the server begins with a message that names its session.
		if !ok || port != localPort || from.IP != c.remote.IP || len(payload) < sbe.PrefixBytes+len(sbe.UUID{}) {
			c.foreign++
			continue
		}
		m := c.byID[sbe.UUID(payload[sbe.PrefixBytes:])]
		if m == nil {
			c.foreign++
			continue
		}
		if !frame.VLAN(0).Relayed(b) {
			c.remote.MAC = from.MAC
		}
		m.client.OnDatagram(payload, c.nowNs)
		m.wake()
	}
	if n > 0 {
		c.port.Done()
	}
	return n
}

// transmit sends what is due: of those who were spoken to, and of some of the others.
func (c *clients) transmit() int {
	sent := 0
	for _, m := range c.busy {
		m.busy = false
		sent += m.client.Poll(c.nowNs, c)
	}
	c.busy = c.busy[:0]
	for range min(pollAtOnce, len(c.members)) {
		sent += c.members[c.next].client.Poll(c.nowNs, c)
		c.next = (c.next + 1) % len(c.members)
	}
	if c.pending > 0 {
		c.port.Kick()
		c.pending = 0
	}
	return sent
}

// Buffer implements client.Out.
func (c *clients) Buffer() []byte {
	if c.reserved = c.port.Reserve(); c.reserved == nil {
		return nil
	}
	return c.reserved[c.local.IP.HeaderBytes():]
}

// Send implements client.Out.
func (c *clients) Send(payloadBytes int) {
	c.headers.PutSummed(c.reserved, &c.local, localPort, &c.remote, payloadBytes)
	c.port.Submit(c.local.IP.HeaderBytes() + payloadBytes)
	c.pending++
}

// cycle does what there is to do, and sleeps no longer than sleepNs if there was nothing.
func (c *clients) cycle(sleepNs int64) {
	if c.receive()+c.transmit() == 0 && sleepNs > 0 {
		c.port.Wait(min(sleepNs, conn.MaxSleepNs))
	}
}

// until cycles until done.
func (c *clients) until(what string, limit time.Duration, done func() bool) error {
	for deadline := time.Now().Add(limit); !done(); c.cycle(conn.MaxSleepNs) {
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: %w within %v", what, ErrNoAnswer, limit)
		}
	}
	return nil
}

// ready counts the sessions that are up.
func (c *clients) ready() (n int) {
	for _, m := range c.members {
		if m.client.Ready() {
			n++
		}
	}
	return n
}

func (c *clients) close() error {
	for _, m := range c.members {
		m.client.Terminate()
		m.wake()
	}
	c.cycle(0)
	return c.port.Close()
}
