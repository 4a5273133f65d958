package fixload

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"onebeat/bench/scene"
	"onebeat/engine/fixp"
	"onebeat/engine/sbe"
)

// datagrams sends what what makes, and hears nothing.
func (a *attacker) datagrams(what func() []byte) (func() error, error) {
	fd, err := a.udp()
	if err != nil {
		return nil, err
	}
	return func() error { return send(fd, what()) }, nil
}

// udp is a socket to the target. What comes back is dropped when it is full.
func (a *attacker) udp() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	a.ends = append(a.ends, func() { unix.Close(fd) })
	return fd, unix.Connect(fd, sockaddr(a.at))
}

func sockaddr(at netip.AddrPort) unix.Sockaddr {
	return &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
}

func send(fd int, b []byte) error {
	// What a socket heard of closed ports it says at the next call.
	if _, err := unix.Write(fd, b); err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.ECONNREFUSED) {
		return fmt.Errorf("datagram: %w", err)
	}
	return nil
}

// sessionMessage is a Negotiate or an Establish.
func sessionMessage(template uint16, session *sbe.UUID, timestamp, credentials uint64) []byte {
	b := make([]byte, sbe.PrefixBytes+sbe.BlockBytes(template))
	m := sbe.AsEstablish(sbe.Put(b, template, sbe.BlockBytes(template)))
	m.SetSessionID(session)
	m.SetTimestamp(timestamp)
	m.SetCredentials(credentials)
	if template == sbe.TemplateNegotiate {
		n := sbe.AsNegotiate(b[sbe.PrefixBytes:])
		n.SetClientFlow(sbe.FlowTypeIdempotent)
		return b
	}
	m.SetNextSeqNo(1)
	m.SetKeepAliveMs(10_000)
	return b
}

func mustSession(text string) sbe.UUID {
	id, err := sessionID(text)
	if err != nil {
		panic(err)
	}
	return id
}

// wrongCredentials are of the good session, with a signature that is not.
func (a *attacker) wrongCredentials() func() []byte {
	id := mustSession(scene.Session(0))
	return func() []byte {
		a.seq++
		return sessionMessage(sbe.TemplateNegotiate+3*uint16(a.seq&1), &id, uint64(time.Now().UnixNano()), a.dice.Uint64())
	}
}

// recorded are what somebody heard on the wire when the good session began.
func (a *attacker) recorded() func() []byte {
	id, key := mustSession(scene.Session(0)), fixp.NewKey(scene.Credentials)
	var b [2][]byte
	for i, template := range []uint16{sbe.TemplateNegotiate, sbe.TemplateEstablish} {
		b[i] = sessionMessage(template, &id, 7, key.Sign(template, &id, 7))
	}
	return func() []byte {
		a.seq++
		return b[a.seq&1]
	}
}

// order is a datagram of one order.
func (a *attacker) order(session *sbe.UUID, seqNo uint64) []byte {
	b := a.buf[:256]
	n := sbe.PutContext(b, session, seqNo)
	m := sbe.AsNewOrderSingle(sbe.Put(b[n:], sbe.TemplateNewOrderSingle, sbe.NewOrderSingleBytes))
	m.SetClOrdID(1 << 40)
	m.SetPriceTicks(10_000)
	m.SetSymbolID(scene.SymbolID)
	m.SetQtyLots(1)
	m.SetSide(sbe.SideBuy)
	m.SetOrdType(sbe.OrdTypeLimit)
	return b[:n+sbe.PrefixBytes+sbe.NewOrderSingleBytes]
}

func (a *attacker) strangersOrder() func() []byte {
	id := mustSession(scene.Session(0))
	return func() []byte {
		a.seq++
		return a.order(&id, a.seq)
	}
}

// wrongDatagrams is a client with a session of its own, whose numbers are used,
// beyond all bounds, or those of requests for what was never sent.
func (a *attacker) wrongDatagrams() (func() error, error) {
	fd, err := a.udp()
	if err != nil {
		return nil, err
	}
	id, key := mustSession(badFIXPSession), fixp.NewKey(badPassword)
	scrap := make([]byte, 2048)
	return func() error {
		n := a.seq
		a.seq++
		if n%5000 < 2 {
			template, now := sbe.TemplateNegotiate+3*uint16(n%5000), uint64(time.Now().UnixNano())
			return send(fd, sessionMessage(template, &id, now, key.Sign(template, &id, now)))
		}
		for { // what it is told
			if _, err := unix.Read(fd, scrap); err != nil {
				break
			}
		}
		switch n % 3 {
		case 0:
			return send(fd, a.order(&id, 0))
		case 1:
			return send(fd, a.order(&id, 1<<40+n))
		}
		b := make([]byte, sbe.PrefixBytes+sbe.RetransmitRequestBytes)
		m := sbe.AsRetransmitRequest(sbe.Put(b, sbe.TemplateRetransmitRequest, sbe.RetransmitRequestBytes))
		m.SetSessionID(&id)
		m.SetTimestamp(n)
		m.SetFromSeqNo(1 << 30)
		m.SetCount(4096)
		return send(fd, b)
	}, nil
}
