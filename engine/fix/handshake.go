package fix

import (
	"crypto/tls"
	"net"
)

// Handshakes are signatures, which anybody may ask for: one of an acceptor computes at a
// time, on a thread that others preempt. While it waits for its peer another one goes on.

// gentle is a connection whose reader gives its turn away while it waits.
type gentle struct {
	net.Conn
	a    *Acceptor
	done func()
	over bool // the handshake
}

func (g *gentle) begin() {
	g.a.handshaking.Lock()
	g.done = g.a.cfg.Gentle()
}

func (g *gentle) end() {
	g.done()
	g.a.handshaking.Unlock()
}

// Read implements net.Conn.
func (g *gentle) Read(b []byte) (int, error) {
	if g.over {
		return g.Conn.Read(b)
	}
	g.end()
	defer g.begin()
	return g.Conn.Read(b)
}

// handshake is a client's.
func (c *conn) handshake() error {
	g := &gentle{Conn: c.net, a: c.a}
	secure := tls.Server(g, c.a.cfg.TLS)
	g.begin()
	err := secure.Handshake()
	g.over = true
	g.end()
	if err == nil {
		c.net = secure
	}
	return err
}
