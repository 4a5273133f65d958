package bpf

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"net"
	"reflect"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"onebeat/mirror/wire"
)

// faultModel predicts what a fault box does: the same random numbers, the same
// rules.
type faultModel struct {
	f      Fault
	random uint64
	held   []byte // nil: the slot is empty
	behind uint32
	// releases of held frames so far
	releases uint32
	counts   FaultCounts
}

func (m *faultModel) draw() uint32 {
	m.random ^= m.random >> 12
	m.random ^= m.random << 25
	m.random ^= m.random >> 27
	return uint32(m.random * 2685821657736338717 >> 32)
}

func happens(random, rate uint32) bool { return uint32(uint64(random)*FaultScale>>32) < rate }

// step returns the verdict and the frame as the program leaves it.
func (m *faultModel) step(kind uint32, headers int, frame []byte) (uint32, []byte) {
	out := bytes.Clone(frame)
	twice := false
	if m.f.Kinds&kind != 0 {
		loss, corrupt, again, late := m.draw(), m.draw(), m.draw(), m.draw()
		if happens(loss, m.f.Loss) {
			m.counts.Lost++
			return xdpDrop, out
		}
		if happens(corrupt, m.f.Corrupt) {
			m.flip(headers, out)
			m.counts.Corrupted++
		}
		if happens(late, m.f.Hold) && m.held == nil {
			m.held, m.behind = out, m.f.HoldFrames
			m.counts.Held++
			return xdpDrop, out
		}
		twice = happens(again, m.f.Twice)
	}
	m.counts.Passed++
	if m.held != nil {
		if m.behind <= 1 {
			m.held = nil
			m.releases++
			// The mark of its clones; a test run returns metadata too.
			return xdpRedirect, append(binary.LittleEndian.AppendUint32(nil, m.releases), out...)
		}
		m.behind--
	}
	if twice {
		m.counts.Doubled++
	}
	return xdpRedirect, out
}

func (m *faultModel) flip(headers int, f []byte) {
	where, which := m.draw(), m.draw()
	from, size := 0, min(len(f), headers)
	if where&1 != 0 && len(f) > headers {
		from, size = headers, len(f)-headers
	}
	f[from+int(uint64(which)*uint64(size)>>32)] ^= 1 << (where >> 1 & 7)
}

func newFaultBox(t *testing.T) *FaultBox {
	t.Helper()
	needRoot(t)
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	b, err := LoadFault("", lo.Index)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// releaseSlot empties the slot as the egress program does: a test run sends
// nothing, so nothing leaves.
func releaseSlot(t *testing.T, b *FaultBox) {
	t.Helper()
	var s faultState
	if err := b.state.Lookup(uint32(0), &s); err != nil {
		t.Fatal(err)
	}
	const leaving = 2
	if s.Slot != leaving {
		return
	}
	s.Slot = 0
	if err := b.state.Put(uint32(0), s); err != nil {
		t.Fatal(err)
	}
}

// Every frame's fate is predicted: verdict, content to the bit, and counts.
func TestFaultFrameByFrame(t *testing.T) {
	mirror := func() []byte {
		f := linkHeaders(wire.HeaderBytes + 256)
		h := wire.Header{Type: wire.Mirror, Lane: laneID, Node: peerNode, Epoch: epoch, LengthBytes: 256}
		h.Put(f[LinkHeaders-wire.HeaderBytes:])
		fill(f[LinkHeaders:], 3)
		return f
	}()
	probe := bytes.Clone(mirror[:LinkHeaders])
	(&wire.Header{Type: wire.Probe}).Put(probe[LinkHeaders-wire.HeaderBytes:])
	arp := make([]byte, 60)
	arp[12], arp[13] = 0x08, 0x06
	frames := []struct {
		kind    uint32
		headers int
		bytes   []byte
	}{
		{1 << wire.Mirror, LinkHeaders, mirror}, {1 << wire.Probe, LinkHeaders, probe},
		{FaultDatagrams, 42, orderFrame(200)}, {FaultARP, 42, arp}, {FaultOther, 42, make([]byte, 64)},
	}
	const half = FaultScale / 2
	for name, f := range map[string]Fault{
		"passing":      {Kinds: FaultAll},
		"loss":         {Kinds: FaultAll, Loss: half},
		"cut":          {Kinds: FaultAll, Loss: FaultScale},
		"one kind":     {Kinds: 1 << wire.Mirror, Loss: FaultScale},
		"link only":    {Kinds: FaultLinkKinds, Loss: half},
		"orders only":  {Kinds: FaultDatagrams, Corrupt: half},
		"corrupt":      {Kinds: FaultAll, Corrupt: half},
		"twice":        {Kinds: FaultAll, Twice: half},
		"hold":         {Kinds: FaultAll, Hold: half / 4, HoldFrames: 3},
		"all together": {Kinds: FaultAll, Loss: half / 4, Corrupt: half / 4, Twice: half / 4, Hold: half / 4, HoldFrames: 1},
	} {
		t.Run(name, func(t *testing.T) {
			f.Seed = 0x9e3779b97f4a7c15
			b := newFaultBox(t)
			if err := b.Set(f); err != nil {
				t.Fatal(err)
			}
			m := faultModel{f: f, random: f.Seed}
			for i := range 2000 {
				in := frames[i%len(frames)]
				want, wantOut := m.step(in.kind, in.headers, in.bytes)
				o := ebpf.RunOptions{Data: in.bytes, DataOut: make([]byte, 4096)}
				got, err := b.Program.Run(&o)
				if err != nil {
					t.Fatal(err)
				}
				if got != want || !bytes.Equal(o.DataOut, wantOut) {
					t.Fatalf("frame %d: verdict %d, want %d; %d bits differ from the prediction", i, got, want, differ(o.DataOut, wantOut))
				}
				releaseSlot(t, b)
			}
			if counts, err := b.Counts(); err != nil || counts != m.counts {
				t.Errorf("counted %+v, want %+v, %v", counts, m.counts, err)
			}
		})
	}
}

func differ(a, b []byte) int {
	n := 0
	for i := range min(len(a), len(b)) {
		n += bits.OnesCount8(a[i] ^ b[i])
	}
	return n
}

// A corrupted frame differs in one bit, and over many frames headers and what
// they carry are both hit.
func TestFaultCorruptsHeaderAndPayload(t *testing.T) {
	b := newFaultBox(t)
	if err := b.Set(Fault{Kinds: FaultAll, Corrupt: FaultScale, Seed: 7}); err != nil {
		t.Fatal(err)
	}
	f := orderFrame(100)
	var header, payload int
	for range 1000 {
		o := ebpf.RunOptions{Data: f, DataOut: make([]byte, 4096)}
		if _, err := b.Program.Run(&o); err != nil {
			t.Fatal(err)
		}
		if n := differ(o.DataOut, f); n != 1 {
			t.Fatalf("%d bits differ", n)
		}
		if differ(o.DataOut[:42], f[:42]) == 1 {
			header++
		} else {
			payload++
		}
	}
	if header < 400 || payload < 400 {
		t.Errorf("%d headers and %d payloads were hit", header, payload)
	}
}

// The rule and the state exist once, in C.
func TestFaultLayout(t *testing.T) {
	spec, err := loadFault()
	if err != nil {
		t.Fatal(err)
	}
	var rule, state *btf.Struct
	if err := spec.Types.TypeByName("ob_fault", &rule); err != nil {
		t.Fatal(err)
	}
	if err := spec.Types.TypeByName("ob_fault_state", &state); err != nil {
		t.Fatal(err)
	}
	compare(t, "ob_fault", rule, reflect.TypeFor[Fault]())
	if got, want := uint32(reflect.TypeFor[faultState]().Size()), state.Size; got != want {
		t.Errorf("ob_fault_state has %d bytes, Go's %d", want, got)
	}
	for i, name := range []string{"passed", "lost", "corrupted", "doubled", "held", "released", "failed"} {
		m := state.Members[len(state.Members)-7+i]
		if f := reflect.TypeFor[FaultCounts]().Field(i); m.Name != name || goName(m.Name) != f.Name {
			t.Errorf("count %d is %s in C and %s in Go", i, m.Name, f.Name)
		}
	}
}
