package shapes

import (
	hdr "github.com/HdrHistogram/hdrhistogram-go"

	"onebeat/bench/lab"
	"onebeat/xdp/frame"
)

// lanesShooter is one client of several lanes: it sends an order to each in turn,
// one in flight over all of them.
type lanesShooter struct {
	lanes []*orderShooter
	next  int
}

func newLanesShooter(s *Setting) *lanesShooter {
	l := &lanesShooter{}
	for id := range s.lanes() {
		o := newOrderShooter(s)
		o.id = laneSession(id)
		l.lanes = append(l.lanes, o)
	}
	return l
}

// wire implements orderClient: each lane is spoken to from a port of its own.
func (l *lanesShooter) wire(w wirePort) error {
	for id, o := range l.lanes {
		own := w
		own.local.Port += uint16(id)
		own.remote.IP = frame.IPv4(lab.LaneAddress(id))
		if err := o.wire(own); err != nil {
			return err
		}
	}
	return nil
}

// follow implements orderClient.
func (l *lanesShooter) follow(standby looper, eager bool) {
	for _, o := range l.lanes {
		o.follow(standby, eager)
	}
}

// ready implements orderClient.
func (l *lanesShooter) ready() bool {
	for _, o := range l.lanes {
		if !o.ready() {
			return false
		}
	}
	return true
}

// turn implements orderClient: a frame is looked at by all, and taken by whose port
// it came to.
func (l *lanesShooter) turn(nowNs int64) {
	port := l.lanes[0].port
	if n := port.Recv(rxBatch); n > 0 {
		for _, o := range l.lanes {
			o.look(n)
		}
		port.Done()
	}
	for _, o := range l.lanes {
		o.rest(nowNs)
	}
}

// shoot implements shooter. What comes for another lane meanwhile is a heartbeat, and
// lost.
func (l *lanesShooter) shoot(h *hdr.Histogram) bool {
	o := l.lanes[l.next]
	l.next = (l.next + 1) % len(l.lanes)
	return o.shoot(h)
}

// losses implements shooter.
func (l *lanesShooter) losses() (lost int64) {
	for _, o := range l.lanes {
		lost += o.losses()
	}
	return lost
}
