package bpf

import (
	"bytes"
	"encoding/binary"
	"testing"

	"onebeat/mirror/lane"
	"onebeat/xdp/frame"
)

const (
	fixPort      = 5001
	otherFIXPort = 5002
)

// servesTCP gives the lane TCP ports, as a FIX acceptor needs them.
func servesTCP(o *Options) { o.TCPPorts[laneID] = [TCPPorts]uint16{fixPort, otherFIXPort} }

// segment is TCP from a client to a port of the lane address; change edits it.
func segment(port uint16, change func([]byte) []byte) []byte {
	f := orderFrame(40)
	f[23] = 6
	binary.BigEndian.PutUint16(f[36:], port)
	if change != nil {
		f = change(f)
	}
	return f
}

// segment6 is such a segment over IPv6.
func segment6(port uint16, change func([]byte) []byte) []byte {
	f := orderFrame6(40)
	f[20] = 6
	binary.BigEndian.PutUint16(f[56:], port)
	if change != nil {
		f = change(f)
	}
	return f
}

func tcpOf(vlan uint16, f []byte) []byte {
	if vlan != 0 {
		return tagged(f, vlan)
	}
	return f
}

// verdictCase is a frame, what stands around it, and what becomes of both.
type verdictCase struct {
	name    string
	state   lane.State
	prepare func(*host)
	frame   []byte
	verdict uint32
	counted string
	word    lane.State
}

// tcpCases are those that both families have; to are segments to the lane's first port,
// its second one, another one and port 0.
func tcpCases(to, second, other, zero []byte) []verdictCase {
	silent := func(h *host) { h.table.Watch.SilentTicks = h.table.Config.SilenceTicks }
	cases := []verdictCase{
		{"ACTIVE", lane.Active, nil, to, xdpPass, "tcp_to_stack", lane.Active},
		{"ACTIVE, the second port", lane.Active, nil, second, xdpPass, "tcp_to_stack", lane.Active},
		{"another port", lane.Active, nil, other, xdpDrop, "tcp_refused", lane.Active},
		{"port 0", lane.Active, nil, zero, xdpDrop, "tcp_refused", lane.Active},
		{"engine gone", lane.Active, gone, to, xdpDrop, "fenced_by_steer tcp_not_active", lane.Fenced},
		{"engine stuck", lane.Active, stuck, to, xdpDrop, "fenced_by_steer tcp_not_active", lane.Fenced},
		{"engine stuck, successor silent", lane.Active, func(h *host) { stuck(h); silent(h) }, to, xdpPass, "tcp_to_stack", lane.Active},
	}
	for _, s := range []lane.State{lane.Init, lane.Syncing, lane.Standby, lane.Candidate, lane.Fenced} {
		cases = append(cases, verdictCase{s.String(), s, nil, to, xdpDrop, "tcp_not_active", s})
	}
	return cases
}

func (h *host) verdicts(t *testing.T, vlan uint16, cases []verdictCase) {
	t.Helper()
	for _, c := range cases {
		h.reset(c.state)
		if c.prepare != nil {
			c.prepare(h)
		}
		f := tcpOf(vlan, c.frame)
		h.mark()
		verdict, out := h.run(h.k.Steer, f)
		if got := h.counted(); verdict != c.verdict || got != c.counted || h.wordNow().State() != c.word {
			t.Errorf("%s, VLAN %d: verdict %d counted %q, %v", c.name, vlan, verdict, got, h.wordNow())
		}
		if verdict == xdpPass && !bytes.Equal(out, f) {
			t.Errorf("%s, VLAN %d: the stack gets another frame", c.name, vlan)
		}
	}
}

// A segment to a lane's port reaches the stack of the ACTIVE node, and no other;
// a port that was not given is closed everywhere, unanswered.
func TestTCPVerdicts(t *testing.T) {
	cases := append(tcpCases(segment(fixPort, nil), segment(otherFIXPort, nil), segment(22, nil), segment(0, nil)),
		verdictCase{"IP options", lane.Active, nil, segment(fixPort, func(f []byte) []byte { f[14] = 0x46; return f }), xdpDrop, "tcp_refused", lane.Active},
		verdictCase{"first fragment", lane.Active, nil, segment(fixPort, func(f []byte) []byte { f[20] |= 0x20; return f }), xdpDrop, "tcp_refused", lane.Active},
		verdictCase{"later fragment", lane.Active, nil, segment(fixPort, func(f []byte) []byte { f[21] = 9; return f }), xdpDrop, "tcp_refused", lane.Active},
		verdictCase{"another address", lane.Active, nil, segment(fixPort, func(f []byte) []byte { f[33]++; return f }), xdpPass, "", lane.Active},
		verdictCase{"address 0", lane.Active, nil, segment(fixPort, func(f []byte) []byte { clear(f[30:34]); return f }), xdpPass, "", lane.Active},
		verdictCase{"ICMP", lane.Active, nil, segment(fixPort, func(f []byte) []byte { f[23] = 1; return f }), xdpPass, "", lane.Active})
	for _, vlan := range []uint16{0, orderVLAN} {
		newTaggedHost(t, vlan, servesTCP).verdicts(t, vlan, cases)
	}
}

// And over IPv6, where a fragment or an extension header hides what it is.
func TestTCPVerdictsOverIPv6(t *testing.T) {
	extension := func(next byte) []byte {
		return segment6(fixPort, func(f []byte) []byte { f[20] = next; return f })
	}
	cases := append(tcpCases(segment6(fixPort, nil), segment6(otherFIXPort, nil), segment6(22, nil), segment6(0, nil)),
		verdictCase{"fragment", lane.Active, nil, extension(44), xdpDrop, "order_extension", lane.Active},
		verdictCase{"hop-by-hop options", lane.Active, nil, extension(0), xdpDrop, "order_extension", lane.Active},
		verdictCase{"another address", lane.Active, nil, segment6(fixPort, func(f []byte) []byte { f[53]++; return f }), xdpPass, "", lane.Active},
		verdictCase{"address ::", lane.Active, nil, segment6(fixPort, func(f []byte) []byte { clear(f[38:54]); return f }), xdpPass, "", lane.Active},
		verdictCase{"cut off within its ports", lane.Active, nil, segment6(fixPort, func(f []byte) []byte { return f[:56] }), xdpPass, "", lane.Active})
	for _, vlan := range []uint16{0, orderVLAN} {
		newHost6(t, vlan, servesTCP).verdicts(t, vlan, cases)
	}
	h := newHost6(t, 0) // not served over TCP
	h.verdicts(t, 0, []verdictCase{{"no ports", lane.Active, nil, segment6(fixPort, nil), xdpPass, "", lane.Active}})
}

// A lane without TCP is nothing to the stack, whatever its state.
func TestLaneWithoutTCPPasses(t *testing.T) {
	h := newHost(t)
	for s := range lane.StateCount {
		h.reset(lane.State(s))
		h.mark()
		verdict, _ := h.run(h.k.Steer, segment(fixPort, nil))
		out, _ := h.run(h.k.Stack, spoken(laneIP, 6))
		if got := h.counted(); verdict != xdpPass || out != tcUnspec || got != "" {
			t.Errorf("%v: verdicts %d, %d counted %q", lane.State(s), verdict, int32(out), got)
		}
	}
}

// Verdicts of linux/pkt_cls.h.
const (
	tcUnspec = 1<<32 - 1
	tcShot   = 2
)

// spoken is what the stack sends to a client from an address.
func spoken(from [4]byte, protocol byte) []byte {
	f := make([]byte, frame.HeaderBytes+20)
	var tmpl frame.Template
	tmpl.Put(f, &frame.Endpoint{MAC: orderMAC, IP: frame.IPv4(from)}, fixPort, &frame.Endpoint{MAC: clientMAC, IP: frame.IPv4(clientIP), Port: 4000}, 20)
	f[23] = protocol
	return f
}

// What the stack says in the name of the lane leaves the ACTIVE node, and no
// other: segments, ICMP, and ARP, which would move the address. A reset may leave.
func TestStackIsSilentUnlessActive(t *testing.T) {
	ask, gratuitous, probe := make([]byte, frame.ARPBytes), make([]byte, frame.ARPBytes), make([]byte, frame.ARPBytes)
	frame.PutARPRequest(ask, orderMAC, laneIP, clientIP)
	frame.PutGratuitousARP(gratuitous, orderMAC, laneIP)
	frame.PutARPRequest(probe, orderMAC, ownOrderIP, clientIP)
	flags := func(f []byte, flags byte) []byte { f[14+20+13] = flags; return f }
	const ack, rst = 16, 4
	h := newTaggedHost(t, 0, servesTCP)
	ipv6 := spoken(laneIP, 6)
	ipv6[12], ipv6[13] = 0x86, 0xdd
	for _, c := range []struct {
		name  string
		frame []byte
		ours  bool
	}{
		{"TCP", flags(spoken(laneIP, 6), ack), true},
		{"a reset", flags(spoken(laneIP, 6), ack|rst), false},
		{"a tagged reset", tagged(flags(spoken(laneIP, 6), rst), orderVLAN), false},
		{"TCP cut off before its flags", spoken(laneIP, 6)[:14+20+13], true},
		{"no TCP, but like a reset", flags(spoken(laneIP, 17), rst), true},
		{"ICMP", spoken(laneIP, 1), true},
		{"a tag in the frame", tagged(spoken(laneIP, 6), orderVLAN), true},
		{"ARP with the lane address", ask, true},
		{"gratuitous ARP", gratuitous, true},
		{"tagged ARP", tagged(ask, orderVLAN), true},
		{"from the node's own address", spoken(ownOrderIP, 6), false},
		{"ARP with the node's own address", probe, false},
		{"from address 0", spoken([4]byte{}, 6), false},
		{"IPv6", ipv6, false},
		{"short ARP", ask[:30], false},
		{"tag alone", tagged(spoken(laneIP, 6), orderVLAN)[:16], false},
	} {
		h.speaks(t, c.name, c.frame, c.ours)
	}
}

// speaks runs a frame of the stack in every state; gated: it leaves in ACTIVE only.
func (h *host) speaks(t *testing.T, name string, f []byte, gated bool) {
	t.Helper()
	for s := range lane.StateCount {
		h.reset(lane.State(s))
		want, counted := uint32(tcUnspec), ""
		if gated && lane.State(s) != lane.Active {
			want, counted = tcShot, "stack_not_active"
		}
		h.mark()
		verdict, _ := h.run(h.k.Stack, f)
		if got := h.counted(); verdict != want || got != counted {
			t.Errorf("%s in %v: verdict %d counted %q", name, lane.State(s), int32(verdict), got)
		}
	}
}

// spoken6 is what the stack sends to a client from an IPv6 address.
func spoken6(from frame.IP, next, flags byte) []byte {
	f := make([]byte, frame.IPv6HeaderBytes+20)
	var tmpl frame.Template
	tmpl.PutSummed(f, &frame.Endpoint{MAC: orderMAC, IP: from}, fixPort, &frame.Endpoint{MAC: clientMAC, IP: clientIP6, Port: 4000}, 20)
	f[20], f[54+13] = next, flags
	return f
}

// The same from an IPv6 address: neighbours are told of that by the programs alone.
func TestStackIsSilentUnlessActiveOverIPv6(t *testing.T) {
	const ack, rst = 16, 4
	h := newHost6(t, 0, servesTCP)
	for _, c := range []struct {
		name  string
		frame []byte
		ours  bool
	}{
		{"TCP", spoken6(laneIP6, 6, ack), true},
		{"a reset", spoken6(laneIP6, 6, ack|rst), false},
		{"a tagged reset", tagged(spoken6(laneIP6, 6, rst), orderVLAN), false},
		{"TCP cut off before its flags", spoken6(laneIP6, 6, rst)[:54+13], true},
		{"no TCP, but like a reset", spoken6(laneIP6, 17, rst), true},
		{"ICMP", spoken6(laneIP6, 58, 0), true},
		{"a tag in the frame", tagged(spoken6(laneIP6, 6, ack), orderVLAN), true},
		{"from another address", spoken6(clientIP6, 6, ack), false},
		{"from ::", spoken6(frame.IP{}, 58, 0), false},
	} {
		h.speaks(t, c.name, c.frame, c.ours)
	}
	h = newHost6(t, 0) // not served over TCP
	h.reset(lane.Standby)
	h.mark()
	if verdict, _ := h.run(h.k.Stack, spoken6(laneIP6, 6, ack)); verdict != tcUnspec || h.counted() != "" {
		t.Errorf("a lane without TCP: verdict %d", int32(verdict))
	}
}
