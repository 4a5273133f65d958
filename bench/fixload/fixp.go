package fixload

import (
	"context"
	"fmt"
	"runtime"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"

	"onebeat/bench/lab"
	"onebeat/bench/scene"
	"onebeat/engine/client"
	"onebeat/engine/client/conn"
	"onebeat/engine/fixp"
	"onebeat/engine/sbe"
	"onebeat/tools/config"
)

// fixpSession is a client of the lane's other face: FIXP over AF_XDP, one order in
// flight. It sleeps while nothing comes, as the session over TCP does.
type fixpSession struct {
	conn     *conn.Conn
	order    client.Order
	answered uint64 // the last ClOrdID that was
	sent     uint64 // orders
}

// keepAliveNs outlasts the turns in which the session says nothing.
const keepAliveNs = 30_000_000_000

func (b *fixBed) dialFIXP() (s *fixpSession, err error) {
	id, err := sessionID(scene.Session(0))
	if err != nil {
		return nil, err
	}
	s = &fixpSession{order: client.Order{ClOrdID: uint64(time.Now().Unix()) << 16, PriceTicks: 10_000, SymbolID: scene.SymbolID, QtyLots: 1,
		OrdType: sbe.OrdTypeLimit, TimeInForce: sbe.TimeInForceDay}}
	target := b.target(scene.LanePort)
	cfg := conn.Config{Client: client.Config{Session: id, Key: fixp.NewKey(scene.Credentials), KeepAliveNs: keepAliveNs},
		Hosts: []conn.Host{{Address: target}}, Interface: lab.OrderNIC}
	err = b.Lab.Do(lab.Client, func() (err error) {
		s.conn, err = conn.Open(cfg, s)
		return err
	})
	return s, err
}

func sessionID(text string) (sbe.UUID, error) {
	var id config.UUID
	err := id.UnmarshalText([]byte(text))
	return sbe.UUID(id), err
}

// OnReport implements client.Handler.
func (s *fixpSession) OnReport(a *client.Answer, r *sbe.ExecutionReport) {
	if a.First {
		s.answered = r.ClOrdID()
	}
}

// OnReject implements client.Handler.
func (s *fixpSession) OnReject(a *client.Answer, r *sbe.Reject) {
	if a.First {
		s.answered = r.ClOrdID()
	}
}

// cycle waits until done.
func (s *fixpSession) cycle(done func() bool) error {
	for deadlineNs := s.conn.NowNs() + answerTimeout.Nanoseconds(); ; {
		work := s.conn.Receive() + s.conn.Transmit()
		if done() {
			return nil
		}
		s.conn.Rest(work, conn.MaxSleepNs)
		if s.conn.NowNs() > deadlineNs {
			return fmt.Errorf("FIXP: %w: %+v", ErrNoAnswer, s.conn.Client().Stats())
		}
	}
}

// oneInFlight sends count orders, each after the report of the one before.
func (s *fixpSession) oneInFlight(ctx context.Context, count int, limit time.Duration, h *hdr.Histogram) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := s.cycle(s.conn.Client().Ready); err != nil {
		return err
	}
	done := func() bool { return s.answered == s.order.ClOrdID }
	for i, begin := 0, time.Now(); i < count && (i%64 != 0 || ctx.Err() == nil && time.Since(begin) < limit); i++ {
		s.order.ClOrdID++
		s.sent++
		s.order.Side = sbe.SideBuy + sbe.Side(s.order.ClOrdID&1)
		sentNs := s.conn.NowNs()
		if !s.conn.Client().SendOrder(&s.order, sentNs) {
			return fmt.Errorf("FIXP: order %d finds no room", s.order.ClOrdID)
		}
		s.conn.Transmit()
		if err := s.cycle(done); err != nil {
			return err
		}
		if h != nil {
			_ = h.RecordValue(max(s.conn.NowNs()-sentNs, 1))
		}
	}
	return ctx.Err()
}

func (s *fixpSession) close() error { return s.conn.Close() }
