package bpf

import (
	"flag"
	"fmt"
	"net"
	"os"
	"sort"
	"strings"
	"sync"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"onebeat/mirror/lane"
	"onebeat/mirror/wire"
	"onebeat/xdp/frame"
)

// Verdicts of linux/bpf.h.
const (
	xdpAborted = iota
	xdpDrop
	xdpPass
	xdpTx
	xdpRedirect
)

// The pair every test plays: this node and its peer, one lane between them.
const (
	laneID    = 3
	ourNode   = 2
	peerNode  = 1
	ringBytes = 4096
	ourInc    = 0x0202
	peerInc   = 0x0101
	linkPort  = 7410
	linkMax   = 1514
	epoch     = 7
)

var (
	laneIP    = [4]byte{10, 9, 0, 100}
	linkIP    = [4]byte{10, 8, 0, 2}
	peerIP    = [4]byte{10, 8, 0, 1}
	clientIP  = [4]byte{10, 9, 0, 7}
	orderMAC  = [6]byte{2, 0, 0, 0, 9, 2}
	linkMAC   = [6]byte{2, 0, 0, 0, 8, 2}
	peerMAC   = [6]byte{2, 0, 0, 0, 8, 1}
	clientMAC = [6]byte{2, 0, 0, 0, 9, 7}

	// The second path: the nodes' own addresses on the order NICs.
	ownOrderIP   = [4]byte{10, 9, 0, 2}
	peerOrderIP  = [4]byte{10, 9, 0, 1}
	peerOrderMAC = [6]byte{2, 0, 0, 0, 9, 1}
)

// covered sums what every host of the package counted, for TestMain.
var covered = struct {
	sync.Mutex
	n map[string]uint64
}{n: map[string]uint64{}}

// TestMain fails a whole run in which a verdict's reason was never met: a
// reason nobody reaches is untested or dead.
func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	whole := flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.skip").Value.String() == "" &&
		flag.Lookup("test.list").Value.String() == "" && !testing.Short()
	if code == 0 && whole {
		var missing []string
		for name, n := range covered.n {
			if n == 0 {
				missing = append(missing, name)
			}
		}
		sort.Strings(missing)
		if len(covered.n) == 0 || len(missing) > 0 {
			fmt.Fprintf(os.Stderr, "FAIL: of %d reasons these were never reached: %s\n", len(covered.n), strings.Join(missing, " "))
			code = 1
		}
	}
	os.Exit(code)
}

// needRoot fails without root: a run that tested no program must not look like
// one that did. Only -short may skip.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if testing.Short() {
		t.Skip("needs root to load BPF programs")
	}
	t.Fatal("needs root to load BPF programs: run with sudo, or with -short to leave the kernel tests out")
}

// host is one node's programs and maps, without NICs: frames come from
// BPF_PROG_TEST_RUN. Sockets and devices only have to exist for a slot to be
// filled.
type host struct {
	t       testing.TB
	k       *Kernel
	table   *lane.Table
	word    *uint64
	ring    []byte
	nh      [wire.NHWords]uint32
	us      wire.Auth // seals what this node sends
	peer    wire.Auth // seals what the peer sends
	counter uint64    // of the peer's engine
	order   int       // AF_XDP sockets in the slots; -1: slot empty
	link    int
	out     []byte
	last    map[string]uint64
	ipv6    bool // the lane's address is
}

func newHost(t testing.TB) *host {
	t.Helper()
	return newTaggedHost(t, 0)
}

// newTaggedHost is a host whose order network has an 802.1Q tag.
func newTaggedHost(t testing.TB, vlan uint16, changes ...func(*Options)) *host {
	t.Helper()
	needRoot(t)
	o := Options{RingBytes: ringBytes, LinkPort: linkPort, OrderVLAN: vlan}
	o.LaneIP[laneID], o.OrderIP[laneID] = frame.IPv4(laneIP), ownOrderIP
	for _, change := range changes {
		change(&o)
	}
	k, err := Load(o)
	if err != nil {
		t.Fatal(err)
	}
	h := &host{t: t, k: k, order: -1, link: -1, out: make([]byte, 4096)}
	t.Cleanup(h.close)
	if h.ring, _, err = k.OpenRing(laneID); err != nil {
		t.Fatal(err)
	}
	h.table, h.word = lane.At(k.Lane(laneID)), lane.WordAt(k.Authority(laneID))
	keys := wire.DeriveKeys([32]byte{1, 2, 3}, laneID, peerNode, ourNode, peerInc, ourInc)
	h.nh = keys.NH
	if err := k.SetNHKey(laneID, &h.nh); err != nil {
		t.Fatal(err)
	}
	tx, rx := keys.For(ourNode, peerNode)
	h.us = wire.Auth{Enabled: true, Sip: tx, NH: &h.nh}
	h.peer = wire.Auth{Enabled: true, Sip: rx, NH: &h.nh}
	h.setDevices()
	h.reset(lane.Standby)
	return h
}

func (h *host) close() {
	h.setOrder(false)
	h.setLink(false)
	if sums, err := h.k.Reasons(); err == nil {
		covered.Lock()
		for name, n := range sums {
			covered.n[name] += n
		}
		covered.Unlock()
	}
	if err := h.k.Close(); err != nil {
		h.t.Error(err)
	}
}

// setDevices fills the device slots; nothing is ever sent by them.
func (h *host) setDevices() {
	h.t.Helper()
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		h.t.Fatal(err)
	}
	if err := h.k.SetDevices(laneID, lo.Index, lo.Index); err != nil {
		h.t.Fatal(err)
	}
}

// reset makes the lane fresh in the given state: both engines alive, the peer
// what a peer is in that state, an empty log.
func (h *host) reset(s lane.State) {
	h.t.Helper()
	*h.table = lane.Table{Config: lane.Config{
		Used: 1, Flags: lane.ConfigAuth, Node: ourNode, PeerNode: peerNode,
		Incarnation: ourInc, PeerIncarnation: peerInc,
		LaneIP: laneIP, LinkIP: linkIP, PeerLinkIP: peerIP,
		LinkPort: [2]byte{linkPort >> 8, linkPort & 255}, LinkFrameMax: linkMax,
		OrderMAC: orderMAC, LinkMAC: linkMAC, PeerLinkMAC: peerMAC,
		OrderIP: ownOrderIP, PeerOrderIP: peerOrderIP, PeerOrderMAC: peerOrderMAC,
		HeartbeatNs: 5e6, TickNs: 1e6, HangTicks: 10, SilenceTicks: 5,
		TxKey: h.us.Sip, RxKey: h.peer.Sip,
	}}
	if h.ipv6 {
		h.table.Config.LaneIP, h.table.Config.LaneIP6 = [4]byte{}, laneIP6
	}
	h.peer.Enabled, h.us.Enabled = true, true
	h.setWord(s)
	h.table.Peer.Authority = uint64(lane.MakeWord(epoch, peerState(s)))
	h.setOrder(true)
	h.setLink(true)
	h.counter = 0
}

func peerState(s lane.State) lane.State {
	if s == lane.Active {
		return lane.Standby
	}
	return lane.Active
}

func (h *host) setWord(s lane.State) { *h.word = uint64(lane.MakeWord(epoch, s)) }

func (h *host) wordNow() lane.Word { return lane.Load(h.word) }

// setOrder fills or empties the lane's slot for order frames.
func (h *host) setOrder(there bool) { h.order = h.setSlot(h.order, there, h.k.SetOrderSocket) }

func (h *host) setLink(there bool) { h.link = h.setSlot(h.link, there, h.k.SetLinkSocket) }

func (h *host) setSlot(fd int, there bool, put func(lane, queue, fd int) error) int {
	h.t.Helper()
	if there == (fd >= 0) {
		return fd
	}
	if !there {
		unix.Close(fd) // the kernel empties the slot with the socket
		return -1
	}
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		h.t.Fatalf("AF_XDP socket: %v", err)
	}
	if err := put(laneID, 0, fd); err != nil {
		h.t.Fatal(err)
	}
	return fd
}

// sent is a link frame as the peer's engine sends it in our epoch; change edits
// the header before it is sealed.
func (h *host) sent(typ wire.Type, records, ride []byte, change func(*wire.Header)) []byte {
	h.counter++
	hd := wire.Header{
		Type: typ, Lane: laneID, Node: peerNode, Epoch: epoch,
		LengthBytes: uint16(len(records)), RideBytes: uint16(len(ride)),
		Authority: lane.MakeWord(epoch, peerState(h.wordNow().State())), Incarnation: peerInc, Counter: h.counter,
	}
	if change != nil {
		change(&hd)
	}
	return h.seal(&hd, records, ride)
}

func (h *host) seal(hd *wire.Header, records, ride []byte) []byte {
	return h.sealIn(linkHeaders(wire.HeaderBytes+len(records)+len(ride)), hd, records, ride)
}

// sealSecond does the same for the second path.
func (h *host) sealSecond(hd *wire.Header, records, ride []byte) []byte {
	f := linkHeaders(wire.HeaderBytes + len(records) + len(ride))
	var tmpl frame.Template
	tmpl.Put(f, &frame.Endpoint{MAC: peerOrderMAC, IP: frame.IPv4(peerOrderIP)}, linkPort,
		&frame.Endpoint{MAC: orderMAC, IP: frame.IPv4(ownOrderIP), Port: linkPort}, len(f)-frame.HeaderBytes)
	return h.sealIn(f, hd, records, ride)
}

func (h *host) sealIn(f []byte, hd *wire.Header, records, ride []byte) []byte {
	body := len(records) + len(ride)
	b := f[frame.HeaderBytes:]
	hd.Put(b)
	copy(b[wire.HeaderBytes:], records)
	copy(b[wire.HeaderBytes+len(records):], ride)
	if body <= wire.PayloadMaxBytes {
		h.peer.Seal(b)
	}
	return f
}

// linkHeaders is a datagram from the peer's link NIC to ours, its payload zero.
func linkHeaders(payloadBytes int) []byte {
	f := make([]byte, frame.HeaderBytes+payloadBytes)
	var tmpl frame.Template
	tmpl.Put(f, &frame.Endpoint{MAC: peerMAC, IP: frame.IPv4(peerIP)}, linkPort, &frame.Endpoint{MAC: linkMAC, IP: frame.IPv4(linkIP), Port: linkPort}, payloadBytes)
	return f
}

// orderFrame is a client's datagram to the lane.
func orderFrame(payloadBytes int) []byte {
	f := make([]byte, frame.HeaderBytes+payloadBytes)
	var tmpl frame.Template
	tmpl.Put(f, &frame.Endpoint{MAC: clientMAC, IP: frame.IPv4(clientIP)}, 4000, &frame.Endpoint{MAC: orderMAC, IP: frame.IPv4(laneIP), Port: 5000}, payloadBytes)
	fill(f[frame.HeaderBytes:], 1)
	return f
}

// fill writes bytes that are all different from a shifted copy of themselves.
func fill(b []byte, seed byte) {
	for i := range b {
		b[i] = byte(i*7+i>>8) + seed
	}
}

func bytesOf(n int, seed byte) []byte {
	b := make([]byte, n)
	fill(b, seed)
	return b
}

// run gives a frame to a program; out is valid until the next run.
func (h *host) run(p *ebpf.Program, f []byte) (verdict uint32, out []byte) {
	h.t.Helper()
	o := ebpf.RunOptions{Data: f, DataOut: h.out}
	verdict, err := p.Run(&o)
	if err != nil {
		h.t.Fatalf("test run of %d bytes: %v", len(f), err)
	}
	return verdict, o.DataOut
}

// mark remembers the counters; counted returns what rose since, by name.
func (h *host) mark() {
	h.t.Helper()
	sums, err := h.k.Reasons()
	if err != nil {
		h.t.Fatal(err)
	}
	h.last = sums
}

func (h *host) counted() string {
	h.t.Helper()
	before := h.last
	h.mark()
	var names []string
	for name, n := range h.last {
		for range n - before[name] {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return strings.Join(names, " ")
}
