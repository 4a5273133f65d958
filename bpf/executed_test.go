package bpf

import (
	"bytes"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"onebeat/mirror/lane"
	"onebeat/mirror/wire"
	"onebeat/xdp/frame"
)

// executedCase is a frame whose way through a program is counted.
type executedCase struct {
	name    string
	link    bool
	state   lane.State
	prepare func(h *host)
	frame   func(h *host) []byte
	most    int // instructions, about a third more than when this was written
}

// What an order's frames execute in the kernel: the order itself, its record and ride
// at the standby, the release at the writer. Auth off shows what authentication is.
func executedCases() []executedCase {
	mirror := func(h *host) []byte { return h.sent(wire.Mirror, bytesOf(160, 1), bytesOf(110, 2), nil) }
	release := rideOf(160, 110, 0, nil)
	return []executedCase{
		{"steer: an order", false, lane.Active, nil, func(*host) []byte { return orderFrame(128) }, 160},
		{"link: mirror, ride bounced", true, lane.Standby, nil, mirror, 2700},
		{"link: mirror, ride bounced, no authentication", true, lane.Standby, authOff, mirror, 500},
		{"link: mirror, ride let out (chain)", true, lane.Standby, chainOn, chainOf(160, 0, 7, nil), 1900},
		{"link: mirror, a full frame", true, lane.Standby, nil, func(h *host) []byte { return h.sent(wire.Mirror, bytesOf(1376, 1), nil, nil) }, 4600},
		{"link: ACK, ride released", true, lane.Active, nil, release, 1700},
		{"link: ACK, ride released, no authentication", true, lane.Active, authOff, release, 300},
		{"link: ACK", true, lane.Active, nil, rideOf(0, 0, 0, nil), 1150},
		{"link: PROBE answered", true, lane.Active, nil, func(h *host) []byte { return h.sent(wire.Probe, nil, nil, nil) }, 2200},
	}
}

// interpreted is an interpreter of a program that sees what the kernel's sees: copies
// of the host's maps, so that both can be compared afterwards.
func (h *host) interpreted(link bool) *interpreter {
	h.t.Helper()
	load, name := loadSteer, "ob_steer"
	if link {
		load, name = loadLink, "ob_link"
	}
	spec, err := load()
	if err != nil {
		h.t.Fatal(err)
	}
	if err := prepare(spec, &Options{RingBytes: ringBytes, LinkPort: linkPort, LaneIP: [Lanes]frame.IP{laneID: frame.IPv4(laneIP)},
		OrderIP: [Lanes][4]byte{laneID: ownOrderIP}}); err != nil {
		h.t.Fatal(err)
	}
	x := newInterpreter(spec, name, func(m string, key uint32) bool {
		switch m {
		case "devs":
			return key/2 == laneID
		case "xsks_order":
			return h.order >= 0 && key == laneID*Queues
		}
		return h.link >= 0 && key == laneID*Queues
	})
	x.lane = laneID
	x.addMap("lanes", slices.Clone(h.k.lanes), LaneBytes)
	x.addMap("authority", slices.Clone(h.k.authority), AuthorityBytes)
	x.addMap(ringOf, slices.Clone(h.ring), uint32(len(h.ring)))
	x.addMap("reasons", make([]byte, 8*spec.Maps["reasons"].MaxEntries), 8)
	keys := h.k.maps["nh_keys"]
	one := make([]byte, keys.ValueSize())
	all := make([]byte, Lanes*len(one))
	if err := keys.Lookup(uint32(laneID), one); err != nil {
		h.t.Fatal(err)
	}
	copy(all[laneID*len(one):], one)
	x.addMap("nh_keys", all, keys.ValueSize())
	return x
}

// counted returns the reasons that the interpreted program counted, by name.
func (x *interpreter) counted(names map[uint32]string) string {
	var got []string
	m := x.values["reasons"]
	for key, name := range names {
		for range m.b[key*8] {
			got = append(got, name)
		}
	}
	sort.Strings(got)
	return strings.Join(got, " ")
}

// A frame's way through the programs, in instructions: what nothing but the programs
// changes. That it is the right way is seen from the kernel, which is given the same
// frame: the same verdict, the same frame, the same memory, the same reasons.
func TestInstructionsOfAFrame(t *testing.T) {
	h := newHost(t)
	names, err := reasonNames()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range executedCases() {
		t.Run(c.name, func(t *testing.T) {
			h.t = t
			h.reset(c.state)
			if c.prepare != nil {
				c.prepare(h)
			}
			f := c.frame(h)
			x := h.interpreted(c.link)
			verdict, out, err := x.run(f)
			if err != nil {
				t.Fatal(err)
			}
			h.mark()
			prog := map[bool]*ebpf.Program{false: h.k.Steer, true: h.k.Link}[c.link]
			wantVerdict, want := h.run(prog, f)
			if counted := h.counted(); verdict != wantVerdict || !bytes.Equal(out, want) || x.counted(names) != counted {
				t.Errorf("verdict %d, counted %q, want %d, %q; the frames are alike: %v", verdict, x.counted(names), wantVerdict, counted, bytes.Equal(out, want))
			}
			for name, memory := range map[string][]byte{"lanes": h.k.lanes, "authority": h.k.authority, ringOf: h.ring} {
				if !bytes.Equal(x.values[name].b, memory) {
					t.Errorf("%s is not what the kernel's program made of it", name)
				}
			}
			t.Logf("%d instructions, %d of them helpers", x.executed, x.helpers)
			if x.executed < 50 || x.executed > c.most {
				t.Errorf("%d instructions, at most %d", x.executed, c.most)
			}
		})
	}
	h.t = t
}
