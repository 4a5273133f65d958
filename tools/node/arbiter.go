package node

import (
	"fmt"
	"net"
	"time"

	"onebeat/engine/app"
	"onebeat/mirror/arbiter"
	"onebeat/mirror/etcd"
	"onebeat/mirror/lane"
	"onebeat/mirror/ring"
	"onebeat/mirror/wire"
	"onebeat/mirror/witness"
	"onebeat/tools/config"
	"onebeat/tools/control"
)

// newArbiter makes a lane's arbiter. Sockets are opened in the calling thread's
// network namespace.
func (n *Node) newArbiter(p *laneParts, r *ring.Ring) (arbiter.Arbiter, error) {
	l := p.cfg
	switch l.Arbitration {
	case config.ArbitrationWitness:
		w := n.cfg.Witness
		if err := checkThirdHost(w.Address); err != nil {
			return nil, err
		}
		c, err := witness.Dial(witness.Options{Witness: w.Address.AddrPort, Key: w.Key,
			Lane: uint8(l.ID), Node: uint8(n.cfg.Node.Number), TimeoutNs: w.Timeout.Ns()})
		if err != nil {
			return nil, err
		}
		n.closer = append(n.closer, c.Close)
		p.remote = c
		return c, nil
	case config.ArbitrationFence:
		pair, err := newPair(l, r)
		if err != nil {
			return nil, err
		}
		return n.fenceArbiter(p, pair)
	case config.ArbitrationEtcd:
		e := n.cfg.Etcd
		secure, err := e.TLS(n.cfg.File)
		if err != nil {
			return nil, err
		}
		a, err := etcd.Open(etcd.Options{Endpoints: e.Endpoints, Prefix: e.Prefix, Lane: uint8(l.ID), Node: uint8(n.cfg.Node.Number),
			Timeout: time.Duration(e.Timeout), TLS: secure, Log: n.log.With("lane", l.ID)})
		if err != nil {
			return nil, err
		}
		n.closer = append(n.closer, a.Close)
		p.remote = a
		return a, nil
	default:
		return newPair(l, r)
	}
}

// newPair makes the arbiter of a lane whose record nobody keeps.
func newPair(l *config.Lane, r *ring.Ring) (*arbiter.Pair, error) {
	var known lane.Record
	if _, err := r.Scan(r.Oldest(), r.Tail(), func(rec *app.Record) bool {
		if rec.Type == app.RecordEpoch {
			known.Parse(rec.Payload)
		}
		return true
	}); err != nil {
		return nil, fmt.Errorf("the ring of an earlier process: %w", err)
	}
	return arbiter.NewPair(arbiter.PairConfig{
		SilencePromotes: l.Silence == config.SilenceLinks,
		Degrades:        l.OnTimeout == config.OnTimeoutDegrade,
	}, known)
}

// checkThirdHost refuses a witness that is this host: not all of its addresses
// stand in the file.
func checkThirdHost(at config.Endpoint) error {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return fmt.Errorf("addresses of this host: %w", err)
	}
	for _, a := range addresses {
		if own, ok := a.(*net.IPNet); ok && own.IP.Equal(net.IP(at.Addr().AsSlice())) {
			return fmt.Errorf("witness.address %v is this host's own: it would die together with what it has to decide about; run the witness on a third host", at)
		}
	}
	return nil
}

// silencePromotes is whether the kernel makes a standby a candidate when its
// peer says nothing more. Under an arbiter that costs nothing: it decides, or
// takes the peer's power first.
func silencePromotes(l *config.Lane) bool {
	return l.Silence == config.SilenceLinks || l.Arbitration != config.ArbitrationPair
}

// arbitrationFlag is what both nodes must have configured alike.
func arbitrationFlag(l *config.Lane) uint16 {
	switch l.Arbitration {
	case config.ArbitrationWitness:
		return wire.PolicyWitness
	case config.ArbitrationEtcd:
		return wire.PolicyEtcd
	case config.ArbitrationFence:
		return wire.PolicyFence
	}
	return 0
}

// arbiterStatus is what a lane's arbiter last said; nil where nobody keeps the
// record.
func arbiterStatus(p *laneParts, nowNs int64) *control.ArbiterStatus {
	if p.remote == nil {
		return nil
	}
	last := p.remote.State()
	s := &control.ArbiterStatus{AnsweredNs: last.AnsweredNs, RoundNs: last.RoundNs, Boot: fmt.Sprintf("%x", last.Boot)}
	if last.Record != (lane.Record{}) {
		s.Record = last.Record.String()
	}
	s.Known = s.Record != ""
	s.Silent = nowNs-last.AnsweredNs > arbiterSilentNs
	return s
}

// arbiterSilentNs without an answer make an arbiter count as away in a status:
// a lane that serves looks ten times a second, or every eighth heartbeat.
const arbiterSilentNs = 3_000_000_000
