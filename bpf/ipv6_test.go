package bpf

import (
	"bytes"
	"encoding/binary"
	"testing"

	"onebeat/mirror/lane"
	"onebeat/mirror/wire"
	"onebeat/xdp/frame"
)

var (
	laneIP6   = frame.IP{0: 0xfd, 1: 9, 14: 1, 15: 0}
	clientIP6 = frame.IP{0: 0xfd, 1: 9, 15: 7}
)

// overIPv6 gives a host's lane an IPv6 address.
func overIPv6(o *Options) { o.LaneIP[laneID] = laneIP6 }

func newHost6(t testing.TB, vlan uint16, changes ...func(*Options)) *host {
	h := newTaggedHost(t, vlan, append(changes, overIPv6)...)
	h.ipv6 = true
	h.reset(lane.Standby)
	return h
}

// orderFrame6 is a client's datagram to the lane over IPv6.
func orderFrame6(payloadBytes int) []byte {
	f := make([]byte, frame.IPv6HeaderBytes+payloadBytes)
	fill(f[frame.IPv6HeaderBytes:], 1)
	var tmpl frame.Template
	tmpl.PutSummed(f, &frame.Endpoint{MAC: clientMAC, IP: clientIP6}, 4000, &frame.Endpoint{MAC: orderMAC, IP: laneIP6, Port: 5000}, payloadBytes)
	return f
}

// ask6 is a solicitation for an address.
func ask6(target frame.IP) []byte {
	f := make([]byte, frame.NDBytes)
	frame.PutSolicitation(f, clientMAC, clientIP6, target)
	return f
}

// claim6 is a solicitation of who is about to take an address.
func claim6(target frame.IP) []byte {
	f := make([]byte, frame.NDBytes)
	return f[:frame.PutDADSolicitation(f, clientMAC, target)]
}

// more appends options to a solicitation, which is sound with them.
func more(f []byte, options ...byte) []byte {
	f = append(f, options...)
	binary.BigEndian.PutUint16(f[18:], uint16(len(f)-54))
	return resum6(f)
}

func resum6(f []byte) []byte {
	const sum = 56
	f[sum], f[sum+1] = 0, 0
	pseudo := append(append([]byte{}, f[22:54]...), 0, 0, f[18], f[19], 0, 0, 0, f[20])
	binary.BigEndian.PutUint16(f[sum:], internetSum(append(pseudo, f[54:]...)))
	return f
}

// Orders over IPv6 meet what those over IPv4 do; a fragment, or what hides its
// ports behind other headers, is no order.
func TestSteerIPv6(t *testing.T) {
	for _, vlan := range []uint16{0, orderVLAN} {
		h := newHost6(t, vlan)
		change := func(f func(b []byte)) []byte { b := orderFrame6(70); f(b); return b }
		next := func(n byte) []byte { return change(func(b []byte) { b[20] = n }) }
		for _, c := range []struct {
			name    string
			state   lane.State
			prepare func(*host)
			frame   []byte
			verdict uint32
			counted string
		}{
			{"ACTIVE", lane.Active, nil, orderFrame6(70), xdpRedirect, "order_to_engine"},
			{"no payload", lane.Active, nil, orderFrame6(0), xdpRedirect, "order_to_engine"},
			{"a traffic class and a flow label", lane.Active, nil, change(func(b []byte) { b[14], b[17] = 0x6b, 99 }), xdpRedirect, "order_to_engine"},
			{"waits in CANDIDATE", lane.Candidate, nil, orderFrame6(70), xdpRedirect, "order_waits"},
			{"STANDBY", lane.Standby, nil, orderFrame6(70), xdpDrop, "order_not_active"},
			{"SYNCING", lane.Syncing, nil, orderFrame6(70), xdpDrop, "order_not_active"},
			{"INIT", lane.Init, nil, orderFrame6(70), xdpDrop, "order_not_active"},
			{"FENCED forwards", lane.Fenced, nil, orderFrame6(70), xdpRedirect, "order_forwarded"},
			{"engine gone", lane.Active, func(h *host) { h.setOrder(false) }, orderFrame6(70), xdpRedirect, "fenced_by_steer order_forwarded"},
			{"longer than the link's MTU", lane.Fenced, nil, orderFrame6(linkMax), xdpDrop, "order_too_long"},
			{"hop-by-hop options", lane.Active, nil, next(0), xdpDrop, "order_extension"},
			{"fragment", lane.Active, nil, next(44), xdpDrop, "order_extension"},
			{"routing header", lane.Standby, nil, next(43), xdpDrop, "order_extension"},
			{"destination options", lane.Active, nil, next(60), xdpDrop, "order_extension"},
			{"ESP", lane.Active, nil, next(50), xdpDrop, "order_extension"},
			{"AH", lane.Active, nil, next(51), xdpDrop, "order_extension"},
			{"TCP", lane.Active, nil, next(6), xdpPass, ""},
			{"echo request", lane.Active, nil, change(func(b []byte) { b[20], b[54] = 58, 128 }), xdpPass, ""},
			{"another address", lane.Active, nil, change(func(b []byte) { b[53]++ }), xdpPass, ""},
			{"an address that begins alike", lane.Active, nil, change(func(b []byte) { b[45]++ }), xdpPass, ""},
			{"fragment to another", lane.Active, nil, change(func(b []byte) { b[20], b[53] = 44, 9 }), xdpPass, ""},
			{"version 4", lane.Active, nil, change(func(b []byte) { b[14] = 0x45 }), xdpPass, ""},
			{"headers cut", lane.Active, nil, orderFrame6(0)[:61], xdpPass, ""},
			{"IP cut", lane.Active, nil, orderFrame6(0)[:50], xdpPass, ""},
			{"type alone", lane.Active, nil, orderFrame6(0)[:14], xdpPass, ""},
			{"IPv4 to the lane's other address", lane.Active, nil, orderFrame(70), xdpPass, ""},
		} {
			h.reset(c.state)
			if c.prepare != nil {
				c.prepare(h)
			}
			f := c.frame
			if vlan != 0 {
				f = tagged(f, vlan)
			}
			if len(f) > 1514 {
				f = f[:1514]
			}
			h.mark()
			verdict, out := h.run(h.k.Steer, f)
			if got := h.counted(); verdict != c.verdict || got != c.counted {
				t.Errorf("VLAN %d, %s: verdict %d counted %q", vlan, c.name, verdict, got)
			}
			switch {
			case verdict == xdpRedirect && h.wordNow().State() == lane.Fenced:
				var fwd wire.Header
				if fwd.Parse(out[frame.HeaderBytes:]) != wire.OK || fwd.Type != wire.Forward || !bytes.Equal(out[LinkHeaders:], f) || !h.us.Verify(out[frame.HeaderBytes:]) {
					t.Errorf("VLAN %d, %s: forwarded as %x", vlan, c.name, out)
				}
			case verdict != xdpDrop && !bytes.Equal(out, f):
				t.Errorf("VLAN %d, %s: changed on its way", vlan, c.name)
			}
			h.setOrder(false)
		}
	}
}

// Only the ACTIVE node tells a lane address's MAC, whoever asks, and however; what
// no host must answer it does not.
func TestNeighbourSolicitation(t *testing.T) {
	answer, toAll := make([]byte, frame.NDBytes), make([]byte, frame.NDBytes)
	frame.PutAdvertisement(answer, orderMAC, laneIP6, clientMAC, clientIP6)
	frame.PutAdvertisement(toAll, orderMAC, laneIP6, clientMAC, frame.IP{})
	unicast := ask6(laneIP6)
	copy(unicast, orderMAC[:])
	copy(unicast[38:], laneIP6[:])
	nonce := []byte{14, 1, 1, 2, 3, 4, 5, 6} // RFC 7527
	change := func(f func(b []byte)) []byte { b := ask6(laneIP6); f(b); return b }
	type ndCase struct {
		name    string
		state   lane.State
		frame   []byte
		verdict uint32
		counted string
		out     []byte
	}
	cases := []ndCase{
		{"to the group", lane.Active, ask6(laneIP6), xdpRedirect, "nd_answered", answer},
		{"to the address", lane.Active, resum6(unicast), xdpRedirect, "nd_answered", answer},
		{"without options", lane.Active, more(ask6(laneIP6)[:78]), xdpRedirect, "nd_answered", answer},
		{"with a nonce", lane.Active, more(ask6(laneIP6), nonce...), xdpRedirect, "nd_answered", answer},
		{"with many options", lane.Active, more(ask6(laneIP6), bytes.Repeat(nonce, 15)...), xdpRedirect, "nd_answered", answer},
		{"padded", lane.Active, append(ask6(laneIP6), 1, 2, 3), xdpRedirect, "nd_answered", answer},
		{"of who is about to take it", lane.Active, claim6(laneIP6), xdpRedirect, "nd_answered", toAll},
		{"with a nonce, of who is about to take it", lane.Active, more(claim6(laneIP6), nonce...), xdpRedirect, "nd_answered", toAll},
		{"another address", lane.Active, ask6(clientIP6), xdpPass, "", nil},
		{"an advertisement", lane.Active, answer, xdpPass, "", nil},
		{"a router's", lane.Active, change(func(b []byte) { b[54] = 134 }), xdpPass, "", nil},
		{"truncated", lane.Active, ask6(laneIP6)[:77], xdpPass, "", nil},
		{"options cut", lane.Active, ask6(laneIP6)[:82], xdpDrop, "nd_invalid", nil},
		{"hop limit", lane.Active, change(func(b []byte) { b[21] = 254 }), xdpDrop, "nd_invalid", nil},
		{"code", lane.Active, resum6(change(func(b []byte) { b[55] = 1 })), xdpDrop, "nd_invalid", nil},
		{"checksum", lane.Active, change(func(b []byte) { b[57]++ }), xdpDrop, "nd_invalid", nil},
		{"spoilt option", lane.Active, change(func(b []byte) { b[84]++ }), xdpDrop, "nd_invalid", nil},
		{"option of no bytes", lane.Active, resum6(change(func(b []byte) { b[79] = 0 })), xdpDrop, "nd_invalid", nil},
		{"option longer than the message", lane.Active, resum6(change(func(b []byte) { b[79] = 2 })), xdpDrop, "nd_invalid", nil},
		{"too many options", lane.Active, more(ask6(laneIP6), bytes.Repeat(nonce, 16)...), xdpDrop, "nd_invalid", nil},
		{"half an option", lane.Active, more(ask6(laneIP6), 1, 1, 0, 0), xdpDrop, "nd_invalid", nil},
		{"shorter than itself", lane.Active, resum6(change(func(b []byte) { b[19] = 16 })), xdpDrop, "nd_invalid", nil},
		{"from nobody, with a MAC", lane.Active, resum6(change(func(b []byte) { clear(b[22:38]) })), xdpDrop, "nd_invalid", nil},
		{"from nobody, to one", lane.Active, resum6(func() []byte { b := claim6(laneIP6); copy(b[38:], laneIP6[:]); return b }()), xdpDrop, "nd_invalid", nil},
	}
	for _, s := range []lane.State{lane.Init, lane.Syncing, lane.Standby, lane.Candidate, lane.Fenced} {
		cases = append(cases, ndCase{s.String() + " is silent", s, ask6(laneIP6), xdpDrop, "nd_not_active", nil},
			ndCase{s.String() + " lets it be taken", s, claim6(laneIP6), xdpDrop, "nd_not_active", nil})
	}
	without := ndCase{"no order NIC", lane.Active, ask6(laneIP6), xdpDrop, "no_device", nil}
	for _, vlan := range []uint16{0, orderVLAN} {
		h := newHost6(t, vlan)
		for _, c := range append(cases, without) {
			h.reset(c.state)
			if c.name == without.name {
				noDevices(h)
			}
			f, want := c.frame, c.out
			const priority = 5 << 13
			if vlan != 0 {
				f = tagged(f, vlan|priority)
				if want != nil {
					want = tagged(want, vlan|priority)
				}
			}
			h.mark()
			verdict, out := h.run(h.k.Steer, f)
			if got := h.counted(); verdict != c.verdict || got != c.counted {
				t.Errorf("VLAN %d, %s: verdict %d counted %q", vlan, c.name, verdict, got)
			}
			if want != nil && !bytes.Equal(out, want) {
				t.Errorf("VLAN %d, %s: answer\n%x, want\n%x", vlan, c.name, out, want)
			}
		}
	}
}

// A standby of a chain lets out an order over IPv6 as its own.
func TestChainedRideOverIPv6(t *testing.T) {
	h := newHost6(t, 0)
	h.table.Config.Flags |= lane.ConfigChain
	ride := make([]byte, frame.IPv6HeaderBytes+50)
	var tmpl frame.Template
	tmpl.PutSummed(ride, &frame.Endpoint{MAC: peerMAC, IP: laneIP6}, 5000, &frame.Endpoint{MAC: clientMAC, IP: clientIP6, Port: 4000}, 50)
	f := h.sent(wire.Mirror, bytesOf(32, 3), ride, func(x *wire.Header) { x.Tail, x.Flags = 32, wire.FlagChain })
	verdict, out := h.run(h.k.Link, f)
	var from frame.Endpoint
	if verdict != xdpRedirect || len(out) != len(ride) {
		t.Fatalf("verdict %d, %x", verdict, out)
	}
	if _, port, ok := frame.Parse(out, &from); !ok || port != 4000 || from.IP != laneIP6 || from.MAC != orderMAC || !frame.VLAN(0).Relayed(out) || out[21] != 63 {
		t.Errorf("let out as %x", out)
	}
}
