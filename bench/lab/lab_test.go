package lab_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"onebeat/bench/lab"
	"onebeat/bench/lab/labtest"
)

// ping sends a datagram from one place to an address in another and expects it
// there.
func ping(t *testing.T, l *lab.Lab, from, to string, ip [4]byte) {
	t.Helper()
	var server *net.UDPConn
	err := l.Do(to, func() (err error) {
		server, err = net.ListenUDP("udp4", &net.UDPAddr{IP: ip[:], Port: 5000})
		return err
	})
	if err != nil {
		t.Fatalf("listen in %s: %v", to, err)
	}
	defer server.Close()
	var client *net.UDPConn
	err = l.Do(from, func() (err error) {
		client, err = net.DialUDP("udp4", nil, &net.UDPAddr{IP: ip[:], Port: 5000})
		return err
	})
	if err != nil {
		t.Fatalf("dial from %s: %v", from, err)
	}
	defer client.Close()
	if _, err := client.Write([]byte(from)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 64)
	server.SetReadDeadline(time.Now().Add(2 * time.Second))
	n, err := server.Read(b)
	if err != nil || string(b[:n]) != from {
		t.Errorf("%s to %s: got %q, %v", from, to, b[:n], err)
	}
}

func TestSwitchedReachesEveryone(t *testing.T) {
	l := labtest.Up(t, lab.Switched)
	ping(t, l, lab.Client, lab.NodeA, lab.NodeAIP)
	ping(t, l, lab.Client, lab.NodeB, lab.NodeBIP)
	ping(t, l, lab.NodeA, lab.Venue, lab.VenueIP)
	ping(t, l, lab.NodeA, lab.NodeB, lab.NodeBLinkIP)
	ping(t, l, lab.NodeA, lab.Witness, lab.WitnessIP)
	ping(t, l, lab.Witness, lab.NodeB, lab.NodeWitnessIP(lab.NodeB))
}

// A third node has a cable to each of the others, which have none between them.
func TestNPlusOneReachesEveryone(t *testing.T) {
	l := labtest.Up(t, lab.NPlusOne)
	ping(t, l, lab.Client, lab.NodeC, lab.NodeCIP)
	ping(t, l, lab.NodeC, lab.Witness, lab.WitnessIP)
	for _, place := range l.Nodes() {
		links := l.Links(place)
		if want := map[string]int{lab.NodeA: 1, lab.NodeB: 1, lab.NodeC: 2}[place]; len(links) != want {
			t.Errorf("%s has %d cables", place, len(links))
		}
		for _, e := range links {
			ping(t, l, e.Place, e.Peer, e.PeerIP)
			if err := l.Do(place, func() error {
				_, err := netlink.LinkByName(e.NIC)
				return err
			}); err != nil {
				t.Errorf("%s/%s: %v", place, e.NIC, err)
			}
		}
	}
}

func TestPairReachesEveryone(t *testing.T) {
	l := labtest.Up(t, lab.Pair)
	ping(t, l, lab.Client, lab.NodeA, lab.NodeAIP)
	ping(t, l, lab.NodeA, lab.Client, lab.VenueIP)
	ping(t, l, lab.NodeB, lab.NodeA, lab.NodeALinkIP)
	if err := l.Do(lab.Switch, func() error { return nil }); err == nil {
		t.Error("a pair has no switch, but it was entered")
	}
}

func TestInterfaces(t *testing.T) {
	l := labtest.Up(t, lab.Switched)
	err := l.Do(lab.NodeA, func() error {
		order, err := netlink.LinkByName(lab.OrderNIC)
		if err != nil {
			return err
		}
		link, err := netlink.LinkByName(lab.LinkNIC)
		if err != nil {
			return err
		}
		for _, c := range []struct {
			link netlink.Link
			mtu  int
		}{{order, lab.OrderMTU}, {link, lab.LinkMTU}} {
			if a := c.link.Attrs(); a.MTU != c.mtu || a.NumRxQueues != 1 || a.NumTxQueues != 1 {
				t.Errorf("%s: MTU %d, %d rx and %d tx queues", a.Name, a.MTU, a.NumRxQueues, a.NumTxQueues)
			}
		}
		if got := order.Attrs().HardwareAddr.String(); got != lab.OrderMAC(lab.NodeA).String() {
			t.Errorf("order NIC has MAC %s", got)
		}
		routes, err := netlink.AddrList(nil, netlink.FAMILY_V6)
		if err == nil && len(routes) > 0 {
			t.Errorf("IPv6 addresses: %v", routes)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	ethtool, err := exec.LookPath("ethtool")
	if err != nil {
		return // what follows checks our ioctls with another program's eyes
	}
	for _, nic := range []struct{ place, name string }{{lab.Switch, lab.NodeA}, {lab.NodeA, lab.OrderNIC}} {
		c := l.Command(nic.place, ethtool, "-k", nic.name)
		var out strings.Builder
		c.Stdout = &out
		if err := c.Run(); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"generic-receive-offload: on", "tx-vlan-offload: off"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s/%s: no %q in\n%s", nic.place, nic.name, want, out.String())
			}
		}
	}
}

func TestCommandRunsInItsPlace(t *testing.T) {
	l := labtest.Up(t, lab.Pair)
	c := l.Command(lab.NodeB, "sh", "-c", "nice; cat /proc/net/dev")
	c.Nice = -7
	var out strings.Builder
	c.Stdout = &out
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(out.String(), "-7\n") || !strings.Contains(out.String(), lab.LinkNIC) {
		t.Errorf("got\n%s", out.String())
	}
	if err := l.Command("attic", "true").Start(); err == nil {
		t.Error("a place that is not there was entered")
	}
}

// carrier waits for a NIC's operational state.
func carrier(t *testing.T, l *lab.Lab, place, nic, want string) {
	t.Helper()
	state := func() string {
		var s string
		if err := l.Do(place, func() error {
			link, err := netlink.LinkByName(nic)
			if err == nil {
				s = link.Attrs().OperState.String()
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return s
	}
	for end := time.Now().Add(2 * time.Second); state() != want && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if got := state(); got != want {
		t.Errorf("%s/%s is %s, want %s", place, nic, got, want)
	}
}

func TestCarrier(t *testing.T) {
	l := labtest.Up(t, lab.Pair)
	for _, c := range []struct {
		up   bool
		want string
	}{{false, "down"}, {true, "up"}} {
		if err := l.SetCarrier(lab.NodeB, lab.LinkNIC, c.up); err != nil {
			t.Fatal(err)
		}
		carrier(t, l, lab.NodeA, lab.LinkNIC, c.want)
	}
}

// gone checks that nothing of a lab is left.
func gone(t *testing.T, dir string, l *lab.Lab) {
	t.Helper()
	left, _ := filepath.Glob("/run/netns/ob-" + l.Name + "-*")
	for _, path := range append(left, l.RunDir, l.PinDir, filepath.Join(dir, l.Name+".json")) {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s is left", path)
		}
	}
}

func TestDownEndsProcesses(t *testing.T) {
	labtest.NeedRoot(t)
	dir := t.TempDir()
	l, err := lab.Up(lab.Spec{Dir: dir, Topology: lab.Pair})
	if err != nil {
		t.Fatal(err)
	}
	c, err := l.Exec(lab.NodeA, "sleep", "1000")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	if err := l.Down(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the process ended with %v", err)
	}
	gone(t, dir, l)
}

func TestUpTwiceIsRefused(t *testing.T) {
	labtest.NeedRoot(t)
	dir := t.TempDir()
	l, err := lab.Up(lab.Spec{Name: fmt.Sprintf("twice-%d", os.Getpid()), Dir: dir, Topology: lab.Pair})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lab.Up(lab.Spec{Name: l.Name, Dir: dir, Topology: lab.Pair}); !errors.Is(err, lab.ErrExists) {
		t.Errorf("got %v, want ErrExists", err)
	}
	ping(t, l, lab.Client, lab.NodeA, lab.NodeAIP) // the first is unharmed
	if err := l.Down(); err != nil {
		t.Fatal(err)
	}
	gone(t, dir, l)
}

// TestFailedUpLeavesNothing lets Up stumble over a namespace that is there.
func TestFailedUpLeavesNothing(t *testing.T) {
	labtest.NeedRoot(t)
	dir := t.TempDir()
	l, err := lab.Up(lab.Spec{Dir: dir, Topology: lab.Pair})
	if err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(dir, l.Name+".json")
	saved, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(state); err != nil { // now Up does not know of it
		t.Fatal(err)
	}
	if _, err := lab.Up(lab.Spec{Name: l.Name, Dir: dir, Topology: lab.Pair}); err == nil {
		t.Errorf("Up over existing namespaces worked; state was\n%s", saved)
	}
	gone(t, dir, l)
}

// TestReap takes over what a killed run left.
func TestReap(t *testing.T) {
	labtest.NeedRoot(t)
	dir := t.TempDir()
	l, err := lab.Up(lab.Spec{Dir: dir, Topology: lab.Pair})
	if err != nil {
		t.Fatal(err)
	}
	c, err := l.Exec(lab.NodeB, "sleep", "1000")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	// A process that was: it has ended and been waited for.
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	l.OwnerPID, l.OwnerStart = dead.Process.Pid, 1
	b, _ := json.Marshal(l)
	if err := os.WriteFile(filepath.Join(dir, l.Name+".json"), b, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := lab.Reap(dir); err != nil {
		t.Fatal(err)
	}
	gone(t, dir, l)
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the dead run's process ended with %v", err)
	}
	if _, err := lab.Open(dir, l.Name); !errors.Is(err, lab.ErrUnknown) {
		t.Errorf("got %v, want ErrUnknown", err)
	}
}

func TestSpecIsChecked(t *testing.T) {
	for _, spec := range []lab.Spec{{Name: "Up Per"}, {Name: strings.Repeat("x", 25)}, {Topology: "ring"}} {
		if _, err := lab.Up(spec); err == nil {
			t.Errorf("%+v was accepted", spec)
		}
	}
}
