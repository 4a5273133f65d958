package conn

import (
	"errors"
	"sync/atomic"
	"syscall"

	"onebeat/engine/client"
	"onebeat/xdp"
	"onebeat/xdp/frame"
)

const (
	rxBatch = 64
	// idleYields is how many empty cycles yield before Rest sleeps.
	idleYields = 8
	// MaxSleepNs bounds a sleep, so that resends and timers are on time.
	MaxSleepNs = 500_000
)

// Conn is an open connection.
type Conn struct {
	clock     Clock
	port      xdp.Port
	client    *client.Client
	connector *client.Connector
	heard     func(from *frame.Endpoint, relayed bool)

	headers frame.Template
	local   frame.Endpoint
	vlan    frame.VLAN
	targets []frame.Endpoint // by host
	target  int
	attempt uint64 // of the connector, that the client knows of
	// follow: the one address that is the lane's moves from node to node, and the
	// frames of who serves show where it is.
	follow bool

	nowNs    int64
	heardNs  int64
	reserved []byte
	pending  int // frames submitted since the last kick
	empty    int // cycles without work in a row
	foreign  uint64
	from     frame.Endpoint // of the datagram being read: as a local variable it would escape
	out      out

	// mac is set by the neighbour watch when the lane address moved: 6 bytes
	// and a bit that says so. Transmit takes it with a swap.
	mac     atomic.Uint64
	unwatch chan struct{} // ends the neighbour watch
}

// New makes a connection of a port that is already open, for who has one of its
// own kind. local is what the port receives for, targets are the hosts.
func New(cfg Config, handler client.Handler, port xdp.Port, local frame.Endpoint, targets []frame.Endpoint) (*Conn, error) {
	clock, err := NewClock()
	if err != nil {
		return nil, err
	}
	cfg.connector(len(targets))
	c := &Conn{clock: clock, port: port, local: local, targets: targets, vlan: cfg.VLAN, heard: cfg.OnHeard,
		follow: cfg.Interface != ""}
	c.out.c = c
	if c.client, err = client.New(cfg.Client, handler); err != nil {
		return nil, err
	}
	if c.connector, err = client.NewConnector(cfg.Connector); err != nil {
		return nil, err
	}
	return c, nil
}

// NowNs is the time of the connection, CLOCK_MONOTONIC.
func (c *Conn) NowNs() int64 { return c.clock.NowNs() }

// Client is the session; Connector is what chose its host.
func (c *Conn) Client() *client.Client { return c.client }

// State returns how the search for a host stands.
func (c *Conn) State() client.State { return c.connector.State() }

// Host returns the index of the host that is spoken to.
func (c *Conn) Host() int { return c.target }

// Target is where that is.
func (c *Conn) Target() frame.Endpoint { return c.targets[c.target] }

// Local is where answers arrive.
func (c *Conn) Local() frame.Endpoint { return c.local }

// Port gives a look at the socket.
func (c *Conn) Port() xdp.Port { return c.port }

// Foreign counts received frames that were no datagrams for this client.
func (c *Conn) Foreign() uint64 { return c.foreign }

// Receive hands all arrived datagrams to the client and returns their number.
func (c *Conn) Receive() int { return c.ReceiveAt(c.NowNs()) }

// ReceiveAt is Receive for who has just read the clock.
func (c *Conn) ReceiveAt(nowNs int64) int {
	c.nowNs = nowNs
	n := c.port.Recv(rxBatch)
	for i := range n {
		from, b := &c.from, c.port.Frame(i)
		payload, port, ok := c.vlan.Parse(b, from)
		host := -1
		if ok && port == c.local.Port {
			host = c.hostOf(from)
		}
		if host < 0 {
			c.foreign++
			continue
		}
		relayed := c.vlan.Relayed(b)
		if c.follow && !relayed {
			c.targets[host] = *from
		}
		if c.heard != nil {
			c.heard(from, relayed)
		}
		c.heardNs = nowNs
		c.client.OnDatagram(payload, nowNs)
		if host != c.target && c.client.Ready() {
			c.connector.Moved(host, nowNs) // it serves the session now
			c.target = host
		}
	}
	if n > 0 {
		c.port.Done()
	}
	return n
}

// hostOf: answers come from a host's address and port, whoever has them now.
func (c *Conn) hostOf(from *frame.Endpoint) int {
	if t := &c.targets[c.target]; t.IP == from.IP && t.Port == from.Port {
		return c.target
	}
	for i := range c.targets {
		if t := &c.targets[i]; t.IP == from.IP && t.Port == from.Port {
			return i
		}
	}
	return -1
}

// Transmit sends all that is due at the time of the last Receive, to the host that the
// connector chooses, and returns the number of datagrams.
func (c *Conn) Transmit() int {
	if m := c.mac.Load(); m != 0 && c.mac.CompareAndSwap(m, 0) {
		t := &c.targets[c.target]
		for i := range t.MAC {
			t.MAC[i] = byte(m >> (8 * i))
		}
	}
	look := c.client.Look(c.heardNs)
	host, send := c.connector.Poll(c.nowNs, &look)
	if !send {
		return 0
	}
	c.target = host
	if a := c.connector.Attempt(); a != c.attempt {
		c.attempt = a
		c.client.Anew()
	}
	n := c.client.Poll(c.nowNs, &c.out)
	if c.pending > 0 {
		c.port.Kick()
		c.pending = 0
	}
	return n
}

// out turns the port into the client's Out.
type out struct{ c *Conn }

// Buffer implements client.Out.
func (o *out) Buffer() []byte {
	c := o.c
	c.reserved = c.port.Reserve()
	if c.reserved == nil {
		return nil
	}
	return c.reserved[c.headerBytes():]
}

// Send implements client.Out.
func (o *out) Send(payloadBytes int) {
	c := o.c
	t := &c.targets[c.target]
	c.headers.PutSummed(c.reserved[c.vlan.Bytes():], &c.local, c.local.Port, t, payloadBytes)
	c.vlan.Put(c.reserved)
	c.port.Submit(c.headerBytes() + payloadBytes)
	c.pending++
}

func (c *Conn) headerBytes() int { return c.vlan.Bytes() + c.local.IP.HeaderBytes() }

// Rest spends the time until something can happen, after a cycle that did so much
// work: it yields, and then sleeps, until a frame arrives or at most maxNs;
// 0: it only yields.
func (c *Conn) Rest(work int, maxNs int64) {
	if work > 0 {
		c.empty = 0
		return
	}
	if c.empty++; c.empty <= idleYields || maxNs <= 0 {
		syscall.RawSyscall(syscall.SYS_SCHED_YIELD, 0, 0, 0)
		return
	}
	if ns := min(maxNs, MaxSleepNs); ns > 0 {
		c.port.Wait(ns)
	}
}

// Run drives the connection until stop is closed or no host is tried any more;
// each is called once a cycle, between receiving and sending.
func (c *Conn) Run(stop <-chan struct{}, each func(nowNs int64)) client.State {
	for c.State() < client.Failed {
		select {
		case <-stop:
			return c.State()
		default:
		}
		work := c.Receive()
		if each != nil {
			each(c.nowNs)
		}
		c.Rest(work+c.Transmit(), MaxSleepNs)
	}
	return c.State()
}

// Close ends the session if there is one, without waiting for an answer, and
// gives the socket back.
func (c *Conn) Close() error {
	c.client.Terminate()
	c.ReceiveAt(c.NowNs())
	c.Transmit()
	c.connector.Close(c.nowNs)
	if c.unwatch != nil {
		close(c.unwatch)
		c.unwatch = nil
	}
	return errors.Join(c.port.Close())
}
