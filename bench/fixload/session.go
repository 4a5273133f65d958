package fixload

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Options of a session.
type Options struct {
	At             netip.AddrPort
	Version        string // BeginString; default FIX.4.4
	Sender, Target string
	Symbol         string // default ONEB
	Price          uint64 // default 10000
	User, Password string
	// NextOut is the first MsgSeqNum sent; default 1.
	NextOut uint64
	// Spin reads without sleeping: a core is the client's.
	Spin bool
}

// Session is a client that is logged on. It blocks in the kernel, not in Go's
// poller: its thread is woken at once.
type Session struct {
	o    Options
	file *os.File
	fd   int
	w    writer
	r    reader
	// alone: nobody else in this process has anything to do while it reads.
	alone bool
	// Reports is how many came, of orders or not.
	Reports uint64
}

// answerTimeout bounds the wait for anything.
const answerTimeout = 5 * time.Second

// ErrNoAnswer means that nothing came in time.
var ErrNoAnswer = errors.New("no answer")

// Dial connects and logs on. It must run in the network namespace of the client.
func Dial(o Options) (*Session, error) {
	if o.Version == "" {
		o.Version = "FIX.4.4"
	}
	if o.Symbol == "" {
		o.Symbol = "ONEB"
	}
	o.NextOut = max(o.NextOut, 1)
	if o.Price == 0 {
		o.Price = 10_000
	}
	conn, err := net.DialTimeout("tcp", o.At.String(), answerTimeout)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	s := &Session{o: o, w: writer{version: o.Version, sender: o.Sender, target: o.Target, next: o.NextOut}, r: reader{b: make([]byte, 256<<10)}}
	if s.file, err = conn.(*net.TCPConn).File(); err != nil {
		return nil, err
	}
	s.fd = int(s.file.Fd())
	look := unix.NsecToTimeval(int64(answerTimeout))
	err = errors.Join(unix.SetNonblock(s.fd, o.Spin), unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &look))
	if err == nil {
		err = s.logon()
	}
	if err != nil {
		return nil, errors.Join(err, s.file.Close())
	}
	return s, nil
}

func (s *Session) logon() error {
	s.w.begin('A', time.Now())
	s.w.text(98, "0")
	s.w.text(108, "60")
	if s.o.User != "" {
		s.w.text(553, s.o.User)
		s.w.text(554, s.o.Password)
	}
	s.w.end()
	if err := s.flush(); err != nil {
		return err
	}
	m, err := s.read()
	if err != nil {
		return fmt.Errorf("logon: %w", err)
	}
	if kind := value(m, tagMsgType); string(kind) != "A" {
		return fmt.Errorf("logon: answered by %s %q", kind, value(m, tagText))
	}
	return nil
}

// flush writes what was built.
func (s *Session) flush() error {
	b := s.w.out
	var deadline time.Time
	for len(b) > 0 {
		n, err := unix.Write(s.fd, b)
		if err == unix.EAGAIN {
			if deadline.IsZero() {
				deadline = time.Now().Add(answerTimeout)
			} else if time.Now().After(deadline) {
				return fmt.Errorf("write: %w", ErrNoAnswer)
			}
			continue
		}
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("write: %w", err)
		}
		b = b[n:]
	}
	s.w.out = s.w.out[:0]
	return nil
}

// read returns the next message.
func (s *Session) read() ([]byte, error) {
	for {
		m, err := s.r.next()
		if m != nil || err != nil {
			return m, err
		}
		if err := s.fill(); err != nil {
			return nil, err
		}
	}
}

// spinsPerLook is how often a spinning client reads before it looks at the clock.
const spinsPerLook = 1 << 12

func (s *Session) fill() error {
	var deadline time.Time
	for i := 1; ; i++ {
		read := unix.Read
		if s.alone {
			read = rawRead
		}
		n, err := read(s.fd, s.r.room())
		switch {
		case n > 0:
			s.r.upTo += n
			return nil
		case err == nil:
			return io.EOF
		case err == unix.EINTR:
		case err != unix.EAGAIN:
			return fmt.Errorf("read: %w", err)
		case !s.o.Spin:
			return ErrNoAnswer
		case i%spinsPerLook == 0 && deadline.IsZero():
			deadline = time.Now().Add(answerTimeout)
		case i%spinsPerLook == 0 && time.Now().After(deadline):
			return ErrNoAnswer
		}
	}
}

// Send sends orders with ClOrdIDs from first on, in one write.
func (s *Session) Send(first uint64, count int) error {
	now := time.Now()
	for i := range count {
		s.w.order(first+uint64(i), s.o.Symbol, s.o.Price, now)
	}
	return s.flush()
}

// Await returns the ClOrdID of the next report, of whatever order. What the session
// asks meanwhile is answered, as far as one that only loads can.
func (s *Session) Await() (id uint64, err error) {
	for {
		m, err := s.read()
		if err != nil {
			return 0, err
		}
		kind := value(m, tagMsgType)
		if len(kind) != 1 {
			return 0, fmt.Errorf("%w: no MsgType", ErrGarbled)
		}
		switch kind[0] {
		case '8':
			s.Reports++
			return uintOf(value(m, tagClOrdID)), nil
		case '1':
			s.w.begin('0', time.Now())
			s.w.bytes(112, value(m, tagTestReqID))
			s.w.end()
			if err := s.flush(); err != nil {
				return 0, err
			}
		case '0':
		default:
			return 0, fmt.Errorf("message %s: %q", kind, value(m, tagText))
		}
	}
}

// AwaitID waits for the first report of an order.
func (s *Session) AwaitID(id uint64) error {
	for {
		got, err := s.Await()
		if err != nil || got == id {
			return err
		}
	}
}

// NextOut is the number that the next message has.
func (s *Session) NextOut() uint64 { return s.w.next }

// Close logs out and ends the connection.
func (s *Session) Close() error {
	s.w.begin('5', time.Now())
	s.w.end()
	err := s.flush()
	for err == nil {
		var m []byte
		if m, err = s.read(); err == nil && string(value(m, tagMsgType)) == "5" {
			break
		}
	}
	// What the other end does with a goodbye is its own affair.
	return s.file.Close()
}
