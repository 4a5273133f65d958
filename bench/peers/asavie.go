package peers

import (
	"errors"
	"fmt"
	"sync/atomic"

	asavie "github.com/asavie/xdp"
	"golang.org/x/sys/unix"

	"onebeat/pin"
	"onebeat/xdp"
	"onebeat/xdp/frame"
)

// Asavie is an echo on asavie/xdp's own per-packet path: Poll, Receive,
// Transmit and Fill as its documentation has them, polling without blocking.
type Asavie struct {
	endpoint *xdp.Endpoint
	sock     *asavie.Socket
	stop     atomic.Bool
	done     chan error
}

var _ Peer = (*Asavie)(nil)

// Name implements Peer.
func (*Asavie) Name() string { return "asavie" }

// Start implements Peer.
func (a *Asavie) Start(env Env) error {
	var err error
	if a.endpoint, err = openEndpoint(env); err != nil {
		return err
	}
	if a.sock, err = xdp.BindSocket(a.endpoint.Interface(), xdp.Options{Queue: env.Queue, ZeroCopy: xdp.ZeroCopyNever}); err != nil {
		return errors.Join(err, a.Stop())
	}
	if err := a.endpoint.Register(env.Queue, a.sock.FD()); err != nil {
		return errors.Join(err, a.Stop())
	}
	ready := make(chan error)
	a.stop.Store(false)
	a.done = make(chan error, 1)
	go func() {
		unlock, err := pin.LockThread(env.Core)
		ready <- err
		if err == nil {
			defer unlock()
			err = a.serve()
		}
		a.done <- err
	}()
	if err := <-ready; err != nil {
		return errors.Join(err, a.Stop())
	}
	return nil
}

func (a *Asavie) serve() error {
	for !a.stop.Load() {
		if n := a.sock.NumFreeFillSlots(); n > 0 {
			a.sock.Fill(a.sock.GetDescs(n))
		}
		n, _, err := a.sock.Poll(0)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("asavie poll: %w", err)
		}
		if n == 0 {
			continue
		}
		descs := a.sock.Receive(n)
		for _, d := range descs {
			frame.Reflect(a.sock.GetFrame(d))
		}
		a.sock.Transmit(descs)
	}
	return nil
}

// Stop implements Peer.
func (a *Asavie) Stop() error {
	var errs []error
	a.stop.Store(true)
	if a.done != nil {
		errs = append(errs, <-a.done)
		a.done = nil
	}
	if a.endpoint != nil {
		errs = append(errs, a.endpoint.Close())
		a.endpoint = nil
	}
	if a.sock != nil {
		errs = append(errs, xdp.CloseSocket(a.sock))
		a.sock = nil
	}
	return errors.Join(errs...)
}
