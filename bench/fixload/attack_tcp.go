package fixload

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"net"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"onebeat/bench/lab"
	"onebeat/bench/scene"
)

// ring holds descriptors, oldest first to go.
type ring struct {
	fds []int
	n   int
}

func newRing(size int) *ring { return &ring{fds: make([]int, 0, max(size, 1))} }

// add takes one in for the oldest.
func (r *ring) add(fd int) {
	if len(r.fds) < cap(r.fds) {
		r.fds = append(r.fds, fd)
		return
	}
	r.n = (r.n + 1) % len(r.fds)
	unix.Close(r.fds[r.n])
	r.fds[r.n] = fd
}

func (r *ring) closeAll() {
	for _, fd := range r.fds {
		unix.Close(fd)
	}
	r.fds = r.fds[:0]
}

// connect begins a connection and does not wait for it.
func (a *attacker) connect() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	// Ports are few: what this end closes must not wait.
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	err = unix.Connect(fd, &unix.SockaddrInet4{Port: int(a.at.Port()), Addr: a.at.Addr().As4()})
	if err != nil && !errors.Is(err, unix.EINPROGRESS) {
		unix.Close(fd)
		return -1, errRefused
	}
	return fd, nil
}

const (
	// letInMost is how long a client with a session may wait for its first connection
	// while its address has begun too many; it tries anew each connectEvery.
	letInMost    = 10 * time.Second
	connectEvery = 100 * time.Millisecond
)

// letIn connects and waits until that is done.
func (a *attacker) letIn() (int, error) {
	for began := time.Now(); time.Since(began) < letInMost; {
		fd, err := a.connect()
		if err != nil {
			return -1, err
		}
		at := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
		if n, err := unix.Poll(at, int(connectEvery.Milliseconds())); n == 1 && err == nil && at[0].Revents == unix.POLLOUT {
			return fd, nil
		}
		unix.Close(fd)
	}
	return -1, fmt.Errorf("no connection within %v", letInMost)
}

// connecting connects and says one thing, a few connections later, when it is
// through; nil: nothing.
func (a *attacker) connecting(what func() []byte) (func() error, error) {
	const later = 8
	var begun [later]int
	for i := range begun {
		begun[i] = -1
	}
	a.ends = append(a.ends, func() {
		for _, fd := range begun {
			if fd >= 0 {
				unix.Close(fd)
			}
		}
	})
	n := 0
	return func() error {
		fd, err := a.connect()
		if err != nil {
			return err
		}
		slot := &begun[n%later]
		n++
		fd, *slot = *slot, fd
		if fd < 0 {
			return nil
		}
		a.held.add(fd)
		if what == nil {
			return nil
		}
		if _, err := unix.Write(fd, what()); err != nil {
			return errRefused
		}
		return nil
	}, nil
}

// message is one of a stranger's, with length and checksum.
func (a *attacker) message(kind byte, sender string, seq uint64, fields func(w *writer)) []byte {
	w := writer{version: "FIX.4.4", sender: sender, target: scene.FIXNode, next: seq, out: a.buf[:0]}
	w.begin(kind, time.Now())
	if fields != nil {
		fields(&w)
	}
	w.end()
	return w.out
}

func (a *attacker) wrongLogon() []byte {
	a.seq++
	return a.message('A', goodSession, 1, func(w *writer) {
		w.text(98, "0")
		w.text(108, "30")
		w.text(553, goodSession)
		w.text(554, "guess-"+strconv.FormatUint(a.seq, 10))
	})
}

// malformed are Logons whose length or checksum is wrong.
func (a *attacker) malformed() []byte {
	a.seq++
	m := a.wrongLogon()
	switch a.seq % 4 {
	case 0:
		m[len(m)-2] ^= 1
	case 1:
		return append(a.buf[:0], "8=FIX.4.4\x019=99999999\x0135=A\x0134=1\x01"...)
	case 2:
		return append(a.buf[:0], "8=FIX.4.4\x019=18446744073709551615\x0135=A\x01"...)
	default:
		m[14] = '9' // BodyLength
	}
	return m
}

// byteByByte keeps connections that send a Logon a byte at a time.
func (a *attacker) byteByByte() (func() error, error) {
	type slow struct{ fd, at int }
	conns := make([]slow, a.kind.hold)
	for i := range conns {
		conns[i].fd = -1
	}
	a.ends = append(a.ends, func() {
		for _, c := range conns {
			if c.fd >= 0 {
				unix.Close(c.fd)
			}
		}
	})
	text := append([]byte(nil), a.wrongLogon()...)
	n := 0
	return func() (err error) {
		c := &conns[n%len(conns)]
		n++
		if c.fd < 0 {
			c.at = 0
			if c.fd, err = a.connect(); err != nil {
				c.fd = -1
			}
			return err
		}
		if _, err := unix.Write(c.fd, text[c.at:c.at+1]); err != nil {
			unix.Close(c.fd)
			c.fd = -1
			return errRefused
		}
		c.at = (c.at + 1) % (len(text) - 1)
		return nil
	}, nil
}

// wrongNumbers is a client with a session of its own that keeps to none of its rules.
func (a *attacker) wrongNumbers() (func() error, error) {
	fd, err := a.letIn()
	if err != nil {
		return nil, err
	}
	step := 0
	drop := func() {
		if fd >= 0 {
			unix.Close(fd)
		}
		fd, step = -1, 0
	}
	a.ends = append(a.ends, drop)
	scrap := make([]byte, 64<<10)
	return func() (err error) {
		step++
		switch {
		case fd < 0:
			fd, err = a.connect()
			return err
		case step == 8:
			_, err = unix.Write(fd, a.message('A', badSession, 1, func(w *writer) {
				w.text(98, "0")
				w.text(108, "30")
				w.text(141, "Y")
				w.text(553, badSession)
				w.text(554, badPassword)
			}))
		case step < 40: // the Logon's answer is on its way
		case step > 400:
			drop()
			return nil
		default:
			_, err = unix.Write(fd, a.wrongNumber(uint64(step)))
		}
		if n, _ := unix.Read(fd, scrap); n == 0 || err != nil {
			drop()
			return errRefused
		}
		return nil
	}, nil
}

func (a *attacker) wrongNumber(n uint64) []byte {
	switch n % 6 {
	case 0:
		return a.message('0', badSession, 1_000_000+n, nil)
	case 1:
		return a.message('2', badSession, 2+n, func(w *writer) { w.number(7, 1); w.number(16, 0) })
	case 2:
		return a.message('4', badSession, 3, func(w *writer) { w.text(43, "Y"); w.number(36, 1); w.text(123, "Y") })
	case 3:
		return a.message('1', badSession, 1<<53-1, func(w *writer) { w.text(112, "x") })
	case 4:
		return a.message('2', badSession, 10+2*n, func(w *writer) { w.number(7, 1<<40); w.number(16, 1) })
	default:
		m := a.message('D', badSession, 5+n, nil)
		m[len(m)-2] ^= 1
		return m
	}
}

// wrongCertificates begins TLS with a certificate that nobody signed.
func (a *attacker) wrongCertificates() (func() error, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: goodSession}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(crand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, err
	}
	own := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	// It shows its certificate whoever is asked for, and believes anybody.
	cfg := &tls.Config{InsecureSkipVerify: true, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil }}
	ctx, cancel := context.WithCancel(context.Background())
	a.ends = append(a.ends, cancel)
	busy := make(chan struct{}, 32)
	return func() error {
		select {
		case busy <- struct{}{}:
		default:
			return errRefused
		}
		go func() {
			defer func() { <-busy }()
			d := net.Dialer{Timeout: time.Second}
			nc, err := d.DialContext(ctx, "tcp", a.at.String())
			if err != nil {
				return
			}
			defer nc.Close()
			_ = nc.SetDeadline(time.Now().Add(time.Second))
			c := tls.Client(nc, cfg)
			if c.HandshakeContext(ctx) == nil {
				_, _ = c.Read(make([]byte, 1)) // the server's word about the certificate
			}
		}()
		return nil
	}, nil
}

// halfOpen sends SYNs from addresses that nobody has.
func (a *attacker) halfOpen() (func() error, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return nil, fmt.Errorf("raw socket: %w", err)
	}
	a.ends = append(a.ends, func() { unix.Close(fd) })
	to := &unix.SockaddrInet4{Addr: a.at.Addr().As4()}
	return func() error {
		a.seq++
		if err := unix.Sendto(fd, a.syn(uint32(a.seq)), 0, to); err != nil && !errors.Is(err, unix.ENOBUFS) {
			return fmt.Errorf("SYN: %w", err)
		}
		return nil
	}, nil
}

// syn is the n-th SYN: 64 strangers of the order network, each with many ports.
func (a *attacker) syn(n uint32) []byte {
	b := a.buf[:40]
	clear(b)
	b[0], b[8], b[9] = 0x45, 64, unix.IPPROTO_TCP
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	from := lab.ClientIP
	from[3] = byte(130 + n%64)
	to := a.at.Addr().As4()
	copy(b[12:], from[:])
	copy(b[16:], to[:])
	t := b[20:]
	binary.BigEndian.PutUint16(t[0:], uint16(1024+n/64%60000))
	binary.BigEndian.PutUint16(t[2:], a.at.Port())
	binary.BigEndian.PutUint32(t[4:], n*2654435761)
	t[12], t[13] = 5<<4, 2 // header length, SYN
	binary.BigEndian.PutUint16(t[14:], 65535)
	sum := uint32(unix.IPPROTO_TCP + len(t))
	for i := 12; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(t[16:], ^uint16(sum))
	return b
}
