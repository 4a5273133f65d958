package peers

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strconv"

	"onebeat/pin"
)

// GoUDP is an echo on a kernel UDP socket, as Go's library has it.
type GoUDP struct {
	conn *net.UDPConn
	done chan error
}

var _ Peer = (*GoUDP)(nil)

// Name implements Peer.
func (*GoUDP) Name() string { return "go udp" }

// Start implements Peer.
func (g *GoUDP) Start(env Env) (err error) {
	if g.conn, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(env.IP, env.Port))); err != nil {
		return fmt.Errorf("go udp: %w", err)
	}
	ready := make(chan error)
	g.done = make(chan error, 1)
	go func() {
		unlock, err := pin.LockThread(env.Core)
		ready <- err
		if err == nil {
			defer unlock()
			err = g.serve()
		}
		g.done <- err
	}()
	if err := <-ready; err != nil {
		return errors.Join(err, g.Stop())
	}
	return nil
}

func (g *GoUDP) serve() error {
	b := make([]byte, 2048)
	for {
		n, from, err := g.conn.ReadFromUDPAddrPort(b)
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err == nil {
			_, err = g.conn.WriteToUDPAddrPort(b[:n], from)
		}
		if err != nil {
			return fmt.Errorf("go udp: %w", err)
		}
	}
}

// Stop implements Peer.
func (g *GoUDP) Stop() error {
	if g.conn == nil {
		return nil
	}
	err := g.conn.Close()
	if g.done != nil {
		err = errors.Join(err, <-g.done)
	}
	g.conn, g.done = nil, nil
	return err
}

// CUDP is the same in C: a process of its own that blocks in recvfrom(2).
type CUDP struct {
	program *Program
	cmd     *exec.Cmd
	stderr  bytes.Buffer
}

var _ Peer = (*CUDP)(nil)

// NewCUDP returns a peer that runs a built echo.
func NewCUDP(p *Program) *CUDP { return &CUDP{program: p} }

// Name implements Peer.
func (*CUDP) Name() string { return "c udp" }

// Start implements Peer.
func (c *CUDP) Start(env Env) error {
	cmd := exec.Command(c.program.udp, env.IP.String(), strconv.Itoa(int(env.Port)), strconv.Itoa(env.Core))
	cmd.Stderr = &c.stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("start C UDP echo: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start C UDP echo: %w", err)
	}
	c.cmd = cmd
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || line != "ready\n" {
		_ = c.Stop() // it has said why
		return fmt.Errorf("the C UDP echo does not start: %s", bytes.TrimSpace(c.stderr.Bytes()))
	}
	return nil
}

// Stop implements Peer.
func (c *CUDP) Stop() error {
	if c.cmd == nil {
		return nil
	}
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait() // killed: that is what it says
	c.cmd = nil
	return nil
}
