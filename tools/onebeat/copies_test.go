package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"onebeat/bench/lab"
	"onebeat/bench/lab/labtest"
	"onebeat/bench/load"
	"onebeat/bench/scene"
	"onebeat/tools/control"
)

// copiesLab is a lane of two nodes whose answers wait for their standby and for mirror
// daemons on two further hosts, all of them processes in namespaces of their own.
type copiesLab struct {
	t   *testing.T
	lab *lab.Lab
}

// Where the daemons are, and their numbers.
var copyPlaces = map[int]string{3: lab.Venue, 4: lab.Client}

const copiesPort = 7600

func (c *copiesLab) path(name string) string { return filepath.Join(c.lab.RunDir, name) }

func (c *copiesLab) write() error {
	errs := []error{scene.WriteCertificates(c.lab.RunDir, 1, 2, 3, 4)}
	const certificates = "[stream]\ncertificate = \"node-%s.crt\"\nkey = \"node-%[1]s.key\"\nauthorities = \"authority.crt\"\n"
	archives := fmt.Sprintf("[archive]\ndir = %q\nsegment_size = \"1MiB\"\nsync_every = \"2ms\"\n", c.path("archive"))
	s := &scene.Scene{Lab: c.lab, LogLevel: "info", LoopLines: "idle = \"backoff\"\nmax_sleep = \"1ms\"",
		Lanes: scene.OneLane("book", "policy = \"mirrored\"\ncopies = 3\nwait = \"2s\"\non_timeout = \"degrade\"\nheartbeat = \"200ms\"\nhang_budget = \"500ms\"\nring_size = \"4MiB\"\n"),
		NodeLines: archives + fmt.Sprintf(certificates, "$NODE") + fmt.Sprintf("listen = \"10.10.0.$NODE:%d\"\n", copiesPort) +
			"[[site]]\nname = \"third\"\nnode = 3\ncounts = true\n[[site]]\nname = \"fourth\"\nnode = 4\ncounts = true\n",
		LinkLines: fmt.Sprintf("peer_stream = \"10.10.0.$PEER:%d\"\n", copiesPort)}
	errs = append(errs, s.Write())
	for n := range copyPlaces {
		text := fmt.Sprintf("[mirrord]\nname = \"copy-%d\"\nnumber = %d\nrun_dir = %q\n", n, n, c.lab.RunDir) + fmt.Sprintf(certificates, fmt.Sprint(n)) + archives +
			fmt.Sprintf("[follow]\nretry = \"20ms\"\n[[source]]\nnode = 1\naddress = \"10.10.0.1:%d\"\n[[source]]\nnode = 2\naddress = \"10.10.0.2:%[1]d\"\n[[lane]]\nid = 0\nring_size = \"4MiB\"\n", copiesPort)
		errs = append(errs, os.WriteFile(c.path(fmt.Sprintf("copy-%d.toml", n)), []byte(text), 0o600))
	}
	return errors.Join(errs...)
}

// start runs `onebeat <args>` in a place until the returned function kills it.
func (c *copiesLab) start(place string, stdout *bytes.Buffer, args ...string) (kill func(), done <-chan struct{}) {
	c.t.Helper()
	p := c.lab.Command(place, os.Args[0], args...)
	p.Env = append(os.Environ(), asProgram+"=1")
	p.Stdout, p.Stderr = c.t.Output(), c.t.Output()
	if stdout != nil {
		p.Stdout = stdout
	}
	if err := p.Start(); err != nil {
		c.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = p.Wait() // most are killed
		close(ended)
	}()
	kill = func() {
		_ = p.Process.Kill()
		<-ended
	}
	c.t.Cleanup(kill)
	return kill, ended
}

// copy starts a daemon.
func (c *copiesLab) copy(n int) (kill func()) {
	kill, _ = c.start(copyPlaces[n], nil, "mirrord", "--config", c.path(fmt.Sprintf("copy-%d.toml", n)))
	return kill
}

// lane is what a node says of it; zero while it does not answer.
func (c *copiesLab) lane(place string) (l control.LaneStatus) {
	var s control.Status
	if control.Call(control.SocketPath(c.lab.RunDir, place), control.Request{Cmd: control.CmdStatus}, &s, time.Second) == nil && len(s.Lanes) == 1 {
		l = s.Lanes[0]
	}
	return l
}

func (c *copiesLab) until(what string, ok func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("never: %s; %+v", what, c.lane(lab.NodeA).Release)
		}
	}
}

// Answers wait for the standby and for mirror daemons on two further hosts. One of those
// is killed: nothing is released that it lacks, until the wait is over; then the lane goes
// on without it, aloud and with its standby, and that ends by itself when it is back.
func TestCopiesAsProcesses(t *testing.T) {
	labtest.NeedRoot(t)
	c := &copiesLab{t: t, lab: labtest.Up(t, lab.Switched)}
	if err := c.write(); err != nil {
		t.Fatal(err)
	}
	for _, place := range []string{lab.NodeA, lab.NodeB} {
		c.start(place, nil, "node", "--config", scene.ConfigPath(c.lab, place))
	}
	c.until("a standby", func() bool { return c.lane(lab.NodeA).InSync })
	c.copy(3)
	kill := c.copy(4)
	held := func() bool { // by all, and no less was released
		l := c.lane(lab.NodeA)
		return len(l.Copies) == 2 && l.Tail > 0 && l.Copies[0].Received == l.Tail && l.Copies[1].Received == l.Tail && l.Release.Degraded == ""
	}
	c.until("copies", held)
	var out bytes.Buffer
	_, loaded := c.start(lab.Client, &out, "load", "--transport", "udp", "--local", dotted(lab.OrderIP(lab.Client))+":40000",
		"--target", fmt.Sprintf("%s:%d", dotted(lab.LaneAddress(0)), scene.LanePort), "--session", scene.Session(0), "--key", scene.Credentials,
		"--rate", "300", "--connect", "10s", "--duration", "3s", "--resend", "100ms", "--drain", "15s", "--json")
	c.until("orders released", func() bool { return c.lane(lab.NodeA).Outputs > 100 })

	kill()
	var stuck control.LaneStatus
	c.until("orders that wait", func() bool { stuck = c.lane(lab.NodeA); return stuck.Tail > stuck.Released+10_000 })
	time.Sleep(100 * time.Millisecond)
	if l := c.lane(lab.NodeA); l.Released > stuck.Released && l.Release.Degraded == "" || !l.InSync {
		t.Errorf("released up to %d, then %d without a copy; %+v, in sync %t", stuck.Released, l.Released, l.Release, l.InSync)
	}
	c.until("degraded", func() bool { return c.lane(lab.NodeA).Release.Degraded != "" })
	c.until("what waited is released", func() bool { return c.lane(lab.NodeA).Released > stuck.Tail })
	if l := c.lane(lab.NodeA); !l.InSync {
		t.Error("the standby is out: it was a copy that was missing")
	}
	c.copy(4)
	c.until("restored", func() bool { return c.lane(lab.NodeA).Release.Degraded == "" })
	<-loaded
	c.until("all of it at all copies", held)

	var r load.Result
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v: %s", err, out.Bytes())
	}
	if r.Sent < 500 || r.Unanswered > 0 {
		t.Errorf("%+v", r)
	}
}

func dotted(ip [4]byte) string { return netip.AddrFrom4(ip).String() }
