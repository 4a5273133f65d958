package fix

import (
	"crypto/tls"
	"net"
	"sync"
)

// Handshakes are signatures, which anybody may ask for: one of an acceptor computes at a
// time, so that they never take more than one core. While it waits for its peer another
// one goes on.

// inTurn is a connection whose reader gives its turn away while it waits.
type inTurn struct {
	net.Conn
	turn *sync.Mutex
	over bool // the handshake
}

// Read implements net.Conn.
func (c *inTurn) Read(b []byte) (int, error) {
	if c.over {
		return c.Conn.Read(b)
	}
	c.turn.Unlock()
	defer c.turn.Lock()
	return c.Conn.Read(b)
}

// handshake is a client's.
func (c *conn) handshake() error {
	c.a.handshaking.Lock()
	defer c.a.handshaking.Unlock()
	n := &inTurn{Conn: c.net, turn: &c.a.handshaking}
	secure := tls.Server(n, c.a.cfg.TLS)
	if err := secure.Handshake(); err != nil {
		return err
	}
	n.over, c.net = true, secure
	return nil
}
