package peers

import (
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"onebeat/pin"
	"onebeat/xdp"
)

// Own is onebeat's own echo behind the same interface, in this process.
type Own struct {
	sock *xdp.Socket
	echo xdp.Echo
	stop atomic.Bool
	done chan error
}

var _ Peer = (*Own)(nil)

// Name implements Peer.
func (*Own) Name() string { return "onebeat" }

// Start implements Peer.
func (o *Own) Start(env Env) error {
	var err error
	o.sock, err = xdp.OpenEndpoint(xdp.Options{Interface: env.Interface, Queue: env.Queue}, env.IP, env.Port)
	if err != nil {
		return err
	}
	o.echo = xdp.Echo{Port: o.sock}
	o.stop.Store(false)
	ready := make(chan error)
	o.done = make(chan error, 1)
	go func() {
		unlock, err := pin.LockThread(env.Core)
		ready <- err
		if err == nil {
			defer unlock()
			err = o.serve()
		}
		o.done <- err
	}()
	if err := <-ready; err != nil {
		return errors.Join(err, o.Stop())
	}
	return nil
}

func (o *Own) serve() error {
	for !o.stop.Load() {
		o.echo.DoWork(0)
		if o.echo.Errno != 0 {
			return fmt.Errorf("echo: %w", unix.Errno(o.echo.Errno))
		}
	}
	return nil
}

// Stop implements Peer.
func (o *Own) Stop() error {
	var errs []error
	o.stop.Store(true)
	if o.done != nil {
		errs = append(errs, <-o.done)
		o.done = nil
	}
	if o.sock != nil {
		errs = append(errs, o.sock.Close())
		o.sock = nil
	}
	return errors.Join(errs...)
}
