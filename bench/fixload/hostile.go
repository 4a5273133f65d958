package fixload

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"onebeat/bench/lab"
	"onebeat/bench/shapes"
)

// Strangers is what became of connections that say nothing.
type Strangers struct {
	Connected         int   `json:"connected"` // handshakes that were answered
	Left              int   `json:"left"`      // of those that the other end had not ended
	ForNs             int64 `json:"for_ns"`
	HalfOpenPerSecond int   `json:"half_open_per_second"`
}

const (
	alone    = "alone"
	silent   = "beside silent connections"
	halfOpen = "beside half-open connections"
)

// hostile measures a session of another host, alone and beside strangers from the
// same network, in turns.
func (b *bed) hostile(ctx context.Context, r *Result) error {
	r.Strangers = &Strangers{HalfOpenPerSecond: b.o.Strangers}
	var sums [3][]shapes.Result
	t := &target{name: alone, o: b.session(1)}
	for round := range b.o.Rounds {
		for i, name := range []string{alone, silent, halfOpen} {
			b.o.Progress(fmt.Sprintf("%s, round %d of %d", name, round+1, b.o.Rounds))
			if err := b.besideStrangers(ctx, t, i, r.Strangers); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			one := t.rounds[len(t.rounds)-1]
			one.Shape = name
			sums[i] = append(sums[i], one)
		}
	}
	for i := range sums {
		r.Entries = append(r.Entries, shapes.Combine(sums[i]))
	}
	for i := range r.Entries[1:] {
		e := &r.Entries[1+i]
		r.ratio(e, &r.Entries[0])
		r.Ratios[i].Over = alone + ", of " + e.Shape
		r.bound("p99 "+e.Shape+" over alone", r.Ratios[i].P99, 2, false)
	}
	return nil
}

// besideStrangers measures the session while strangers come, of the kind that i
// says.
func (b *bed) besideStrangers(ctx context.Context, t *target, i int, s *Strangers) error {
	coming, stop := context.WithCancel(ctx)
	defer stop()
	var done sync.WaitGroup
	var strangerErr error
	began := time.Now()
	switch i {
	case 1:
		crowd, err := b.connectSilent(b.o.Strangers)
		if err != nil {
			return err
		}
		defer func() {
			s.Left, s.ForNs = crowd.left(), time.Since(began).Nanoseconds()
			crowd.close()
		}()
		s.Connected = len(crowd.fds)
	case 2:
		flood, err := b.openFlood()
		if err != nil {
			return err
		}
		done.Go(func() { strangerErr = flood.run(coming, b.o.Strangers) })
	}
	err := b.turn(ctx, lab.Client, t)
	stop()
	done.Wait()
	return errors.Join(err, strangerErr)
}

// crowd is many connections.
type crowd struct{ fds []int }

// connectSilent connects and says nothing.
func (b *bed) connectSilent(count int) (*crowd, error) {
	if err := raiseFiles(count + 1000); err != nil {
		return nil, err
	}
	c := &crowd{}
	at := &unix.SockaddrInet4{Port: int(b.laneAt().Port()), Addr: b.laneAt().Addr().As4()}
	err := b.lab.Do(lab.Client, func() error {
		for i := range count {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return fmt.Errorf("stranger %d: %w", i, err)
			}
			look := unix.NsecToTimeval(int64(time.Second))
			if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &look); err != nil {
				return err
			}
			if err := unix.Connect(fd, at); err != nil {
				// Refused, reset or unanswered: the other end protects itself.
				unix.Close(fd)
				continue
			}
			c.fds = append(c.fds, fd)
		}
		return nil
	})
	if err != nil {
		c.close()
	}
	return c, err
}

// left counts the connections that the other end has not ended.
func (c *crowd) left() (n int) {
	for _, fd := range c.fds {
		var b [1]byte
		if _, _, err := unix.Recvfrom(fd, b[:], unix.MSG_DONTWAIT|unix.MSG_PEEK); errors.Is(err, unix.EAGAIN) {
			n++
		}
	}
	return n
}

func (c *crowd) close() {
	for _, fd := range c.fds {
		unix.Close(fd)
	}
}

// raiseFiles lets this process have so many descriptors.
func raiseFiles(count int) error {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil || l.Cur >= uint64(count) {
		return err
	}
	l.Cur = uint64(count)
	l.Max = max(l.Max, l.Cur)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("%d descriptors: %w", count, err)
	}
	return nil
}

// flood sends SYNs from addresses that nobody has.
type flood struct {
	fd int
	to unix.SockaddrInet4
	at netip.AddrPort
}

func (b *bed) openFlood() (*flood, error) {
	f := &flood{at: b.laneAt(), to: unix.SockaddrInet4{Addr: b.laneAt().Addr().As4()}}
	err := b.lab.Do(lab.Client, func() (err error) {
		f.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("raw socket: %w", err)
	}
	return f, nil
}

const floodSlice = 2 * time.Millisecond

// run sends so many a second until ctx ends.
func (f *flood) run(ctx context.Context, perSecond int) error {
	defer unix.Close(f.fd)
	tick := time.NewTicker(floodSlice)
	defer tick.Stop()
	began, sent := time.Now(), 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for due := int(time.Since(began).Seconds() * float64(perSecond)); sent < due; sent++ {
			if err := unix.Sendto(f.fd, f.syn(uint32(sent)), 0, &f.to); err != nil && !errors.Is(err, unix.ENOBUFS) {
				return fmt.Errorf("SYN: %w", err)
			}
		}
	}
}

// syn is the n-th SYN: 64 strangers of the order network, each with many ports.
func (f *flood) syn(n uint32) []byte {
	b := make([]byte, 40)
	b[0], b[8], b[9] = 0x45, 64, unix.IPPROTO_TCP
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	from := lab.ClientIP
	from[3] = byte(130 + n%64)
	to := f.at.Addr().As4()
	copy(b[12:], from[:])
	copy(b[16:], to[:])
	t := b[20:]
	binary.BigEndian.PutUint16(t[0:], uint16(1024+n/64%60000))
	binary.BigEndian.PutUint16(t[2:], f.at.Port())
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
