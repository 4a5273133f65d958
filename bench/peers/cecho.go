package peers

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"onebeat/xdp"
)

// inheritedMapFD is where the child finds the socket map: behind stdin, stdout
// and stderr.
const inheritedMapFD = 3

// stopTimeout is how long a child may take to end before it is killed.
const stopTimeout = 2 * time.Second

// CEcho is the C yardstick as a server.
type CEcho struct {
	program  *Program
	endpoint *xdp.Endpoint
	cmd      *exec.Cmd
	stderr   bytes.Buffer
}

var _ Peer = (*CEcho)(nil)

// NewCEcho returns a peer that runs a built yardstick.
func NewCEcho(p *Program) *CEcho { return &CEcho{program: p} }

// Name implements Peer.
func (*CEcho) Name() string { return "c" }

// Start implements Peer.
func (c *CEcho) Start(env Env) error {
	var err error
	if c.endpoint, err = openEndpoint(env); err != nil {
		return err
	}
	cmd, mapFile, err := c.program.command(env, c.endpoint)
	if err != nil {
		return errors.Join(err, c.Stop())
	}
	defer mapFile.Close()
	cmd.Stderr = &c.stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return errors.Join(fmt.Errorf("start C echo: %w", err), c.Stop())
	}
	if err := cmd.Start(); err != nil {
		return errors.Join(fmt.Errorf("start C echo: %w", err), c.Stop())
	}
	c.cmd = cmd
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || line != "ready\n" {
		err := c.Stop()
		return errors.Join(fmt.Errorf("the C echo does not start: %s", bytes.TrimSpace(c.stderr.Bytes())), err)
	}
	return nil
}

// Stop implements Peer.
func (c *CEcho) Stop() error {
	var errs []error
	if c.cmd != nil {
		// A second SIGTERM is not needed: the loop looks at its flag each turn.
		_ = c.cmd.Process.Signal(syscall.SIGTERM)
		timer := time.AfterFunc(stopTimeout, func() { _ = c.cmd.Process.Kill() })
		if err := c.cmd.Wait(); err != nil {
			errs = append(errs, fmt.Errorf("the C echo: %w: %s", err, bytes.TrimSpace(c.stderr.Bytes())))
		}
		timer.Stop()
		c.cmd = nil
	}
	if c.endpoint != nil {
		errs = append(errs, c.endpoint.Close())
		c.endpoint = nil
	}
	return errors.Join(errs...)
}

func openEndpoint(env Env) (*xdp.Endpoint, error) {
	iface, err := xdp.Inspect(env.Interface)
	if err != nil {
		return nil, err
	}
	if err := iface.Check(xdp.Need{Queue: env.Queue, Native: true}); err != nil {
		return nil, err
	}
	return xdp.NewEndpoint(iface, xdp.ModeNative, env.IP, env.Port)
}

// command prepares the child; the caller closes the file after Start.
func (p *Program) command(env Env, endpoint *xdp.Endpoint, more ...string) (*exec.Cmd, *os.File, error) {
	fd, err := syscall.Dup(endpoint.MapFD())
	if err != nil {
		return nil, nil, fmt.Errorf("pass on the socket map: %w", err)
	}
	mapFile := os.NewFile(uintptr(fd), "sockets")
	args := []string{
		"--interface", env.Interface, "--queue", strconv.Itoa(env.Queue),
		"--map-fd", strconv.Itoa(inheritedMapFD), "--core", strconv.Itoa(env.Core),
	}
	cmd := exec.Command(p.path, append(args, more...)...)
	cmd.ExtraFiles = []*os.File{mapFile}
	return cmd, mapFile, nil
}

// Result is what a measuring client found, in nanoseconds per round trip.
type Result struct {
	Count   int64 `json:"count"`
	Lost    int64 `json:"lost"`
	P50Ns   int64 `json:"p50_ns"`
	P90Ns   int64 `json:"p90_ns"`
	P99Ns   int64 `json:"p99_ns"`
	P999Ns  int64 `json:"p999_ns"`
	P9999Ns int64 `json:"p9999_ns"`
	MaxNs   int64 `json:"max_ns"`
}

// Ping runs the yardstick as a client: it sends frame count times, one in
// flight, to whoever answers, and measures each round trip. env is the
// client's side.
func (p *Program) Ping(env Env, frame []byte, warmup, count int) (Result, error) {
	endpoint, err := openEndpoint(env)
	if err != nil {
		return Result{}, err
	}
	cmd, mapFile, err := p.command(env, endpoint, "--client", hex.EncodeToString(frame),
		"--warmup", strconv.Itoa(warmup), "--count", strconv.Itoa(count))
	if err != nil {
		return Result{}, errors.Join(err, endpoint.Close())
	}
	out, err := cmd.Output()
	closeErr := errors.Join(mapFile.Close(), endpoint.Close())
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
		}
		return Result{}, errors.Join(fmt.Errorf("the C client: %w", err), closeErr)
	}
	var r Result
	if err := json.Unmarshal(out, &r); err != nil {
		return Result{}, errors.Join(fmt.Errorf("the C client's answer %q: %w", out, err), closeErr)
	}
	return r, closeErr
}
