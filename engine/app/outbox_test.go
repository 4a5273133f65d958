package app

import (
	"bytes"
	"testing"

	"onebeat/xdp/frame"
)

// An output in a VLAN is the plain one with a tag; there is the same room in it,
// also for what is added.
func TestOutboxOfAVLAN(t *testing.T) {
	local := Endpoint{MAC: [6]byte{2, 1}, IP: IPv4([4]byte{10, 0, 0, 1})}
	remote := Endpoint{MAC: [6]byte{2, 2}, IP: IPv4([4]byte{10, 0, 0, 2}), Port: 9000}
	made := map[frame.VLAN][]byte{}
	for _, vlan := range []frame.VLAN{0, 77} {
		o := NewOutbox(local, 1)
		o.UseVLAN(vlan)
		output := func() []byte {
			b := o.Open(remote, 9001, 5)
			if len(b) != MaxDatagramBytes {
				t.Fatalf("VLAN %d: room of %d bytes", vlan, len(b))
			}
			o.Close(copy(b, "first "), 2)
			b = o.Grow(5, 2)
			if len(b) != MaxDatagramBytes-6 {
				t.Fatalf("VLAN %d: room of %d more bytes", vlan, len(b))
			}
			o.Grown(copy(b, "second"), 3, NoSum)
			o.Seal()
			s := o.At(o.Tail() - 1)
			return s.Frame[:s.LengthBytes]
		}
		made[vlan] = bytes.Clone(output())
		var from Endpoint
		if payload, port, ok := vlan.Parse(made[vlan], &from); !ok || string(payload) != "first second" || port != remote.Port || from.MAC != local.MAC {
			t.Errorf("VLAN %d: %q to port %d from %+v: %v", vlan, payload, port, from, ok)
		}
		if n := testing.AllocsPerRun(100, func() { output(); o.Release(o.Tail()) }); n != 0 {
			t.Errorf("VLAN %d: %v allocations", vlan, n)
		}
	}
	if want := append(append(bytes.Clone(made[0][:12]), 0x81, 0, 0, 77), made[0][12:]...); !bytes.Equal(made[77], want) {
		t.Errorf("got  %x\nwant %x", made[77], want)
	}
}
