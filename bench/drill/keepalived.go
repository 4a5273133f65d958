package drill

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"onebeat/bench/lab"
)

// Keepalived is what users have today, measured in the same lab with the same
// fault: a host without power. Its VRRPv3 daemons move an address between the
// nodes; a UDP echo behind it stands for the service.
type Keepalived struct {
	Installed bool    `json:"installed"`
	Version   string  `json:"version,omitempty"`
	Install   string  `json:"install,omitempty"` // how, if it is not
	Setting   string  `json:"setting,omitempty"`
	Runs      int     `json:"runs"`
	OutageNs  Spread  `json:"outage_ns"`
	MTTRNs    int64   `json:"mttr_ns"`
	Outages   []int64 `json:"outages_ns"`
	// Ratio is its median outage in onebeat's for a host without power.
	Ratio   float64 `json:"ratio_to_power,omitempty"`
	Problem string  `json:"problem,omitempty"`
}

const (
	keepalivedInstall = "apt-get install keepalived"
	// keepalivedSetting is the fastest it takes: advertisements are sent in
	// hundredths of a second, and a backup waits for three of them, and a
	// fraction that a high priority makes small.
	keepalivedSetting = "VRRPv3, advert_int 0.01, priorities 254 and 253"
	echoPort          = 7000
	askEvery          = 200 * time.Microsecond
	keepalivedTimeout = 10 * time.Second
)

var keepalivedIP = [4]byte{10, 10, 0, 90}

// MeasureKeepalived plays a number of runs in a lab of its own.
func MeasureKeepalived(o *Options, runs int, stop <-chan struct{}) (k Keepalived, err error) {
	k = Keepalived{Setting: keepalivedSetting, Outages: []int64{}}
	program, err := exec.LookPath("keepalived")
	if err != nil {
		k.Install = keepalivedInstall
		return k, nil
	}
	k.Installed = true
	if out, err := exec.Command(program, "--version").CombinedOutput(); err == nil {
		k.Version, _, _ = strings.Cut(string(out), "\n")
	}
	l, err := lab.Up(lab.Spec{FaultBox: true})
	if err != nil {
		return k, err
	}
	defer func() { err = errors.Join(err, l.Down()) }()
	for _, place := range []string{lab.NodeA, lab.NodeB} {
		c, err := echo(l, place)
		if err != nil {
			return k, err
		}
		defer c.Close()
	}
	for i := range runs {
		outageNs, err := keepalivedRun(l, o, program, stop)
		if err != nil {
			return k, fmt.Errorf("keepalived, run %d of %d: %w", i+1, runs, err)
		}
		k.Outages = append(k.Outages, outageNs)
		if o.Progress != nil {
			o.Progress(fmt.Sprintf("keepalived, run %d of %d: outage %s", i+1, runs, micros(outageNs)))
		}
	}
	k.Runs, k.OutageNs, k.MTTRNs = runs, spread(k.Outages), mean(k.Outages)
	return k, nil
}

// echo answers datagrams in a place until it is closed.
func echo(l *lab.Lab, place string) (c *net.UDPConn, err error) {
	err = l.Do(place, func() (err error) {
		c, err = net.ListenUDP("udp4", &net.UDPAddr{Port: echoPort})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("echo in %s: %w", place, err)
	}
	go func() {
		b := make([]byte, 64)
		for {
			n, from, err := c.ReadFromUDPAddrPort(b)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				_, _ = c.WriteToUDPAddrPort(b[:n], from)
			}
		}
	}()
	return c, nil
}

func keepalivedConfig(l *lab.Lab, place string, priority int) (string, error) {
	path := filepath.Join(l.RunDir, place+"-keepalived.conf")
	return path, os.WriteFile(path, fmt.Appendf(nil, `global_defs {
  router_id %s
  max_auto_priority 99
  vrrp_version 3
  vrrp_garp_master_delay 0
  vrrp_garp_master_repeat 1
}
vrrp_instance drill {
  state BACKUP
  interface %s
  virtual_router_id 51
  priority %d
  advert_int 0.01
  virtual_ipaddress {
    %s/24
  }
}
`, place, lab.OrderNIC, priority, net.IP(keepalivedIP[:])), 0o600)
}

func startKeepalived(l *lab.Lab, o *Options, program, place string, priority int) (*process, error) {
	path, err := keepalivedConfig(l, place, priority)
	if err != nil {
		return nil, err
	}
	pid := func(name string) string { return filepath.Join(l.RunDir, place+"-"+name+".pid") }
	p := &process{place: place, cmd: l.Command(place, program, "--dont-fork", "--log-console", "--vrrp", "--use-file", path,
		"--pid", pid("keepalived"), "--vrrp_pid", pid("vrrp")), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &prefixer{w: o.Log, prefix: place + ": "}, &prefixer{w: o.Log, prefix: place + ": "}
	p.cmd.Nice = niceness
	return p, p.run()
}

// keepalivedRun starts both daemons, cuts the master's host off and takes the
// time to the first answer by the other one.
func keepalivedRun(l *lab.Lab, o *Options, program string, stop <-chan struct{}) (outageNs int64, err error) {
	r := &run{o: o, lab: l, stop: stop}
	var daemons []*process
	defer func() {
		for _, p := range daemons {
			err = errors.Join(err, p.signal(syscall.SIGTERM))
		}
		for _, p := range daemons {
			<-p.done
		}
	}()
	ask, err := newAsker(l)
	if err != nil {
		return 0, err
	}
	defer ask.close()
	for i, place := range []string{lab.NodeA, lab.NodeB} {
		p, err := startKeepalived(l, o, program, place, 254-i)
		if err != nil {
			return 0, err
		}
		daemons = append(daemons, p)
		if i == 0 { // the first one is to be the master
			if err := ask.wait(stop, 0); err != nil {
				return 0, err
			}
		}
	}
	if err := r.rest(500 * time.Millisecond); err != nil {
		return 0, err
	}
	c, err := r.openCut(lab.NodeA, wholeHost(l, lab.NodeA))
	if err != nil {
		return 0, err
	}
	defer c.close()
	cutNs := monotonicNs()
	if err := c.set(true); err != nil {
		return 0, err
	}
	if err := ask.wait(stop, cutNs); err != nil {
		return 0, errors.Join(err, c.set(false))
	}
	outageNs = ask.answeredNs.Load() - cutNs
	return outageNs, c.set(false)
}

// asker asks the service again and again and knows when it last answered
// something that was asked after a moment.
type asker struct {
	conn       *net.UDPConn
	fromNs     atomic.Int64 // what was asked before does not count
	answeredNs atomic.Int64 // the first answer that counts; 0: none
	done       chan struct{}
}

func newAsker(l *lab.Lab) (*asker, error) {
	a := &asker{done: make(chan struct{})}
	err := l.Do(lab.Client, func() (err error) {
		a.conn, err = net.ListenUDP("udp4", &net.UDPAddr{})
		return err
	})
	if err != nil {
		return nil, err
	}
	go a.ask()
	go a.hear()
	return a, nil
}

func (a *asker) close() {
	close(a.done)
	a.conn.Close()
}

func (a *asker) ask() {
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	service := &net.UDPAddr{IP: keepalivedIP[:], Port: echoPort}
	b := make([]byte, 8)
	for {
		select {
		case <-a.done:
			return
		case <-tick.C:
			binary.LittleEndian.PutUint64(b, uint64(monotonicNs()))
			_, _ = a.conn.WriteToUDP(b, service) // nobody there is an answer too
		}
	}
}

func (a *asker) hear() {
	b := make([]byte, 64)
	for {
		n, err := a.conn.Read(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n != 8 {
			continue
		}
		if int64(binary.LittleEndian.Uint64(b)) > a.fromNs.Load() {
			a.answeredNs.CompareAndSwap(0, monotonicNs())
		}
	}
}

// wait waits for the first answer to something asked after a moment.
func (a *asker) wait(stop <-chan struct{}, fromNs int64) error {
	a.fromNs.Store(fromNs)
	a.answeredNs.Store(0)
	for deadline := time.Now().Add(keepalivedTimeout); a.answeredNs.Load() == 0; time.Sleep(time.Millisecond) {
		select {
		case <-stop:
			return ErrStopped
		default:
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the address of keepalived does not answer within %v", keepalivedTimeout)
		}
	}
	return nil
}
