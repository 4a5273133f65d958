package bpf

import (
	"fmt"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"onebeat/mirror/lane"
	"onebeat/mirror/wire"
)

// rewinder is a program that makes a frame what it was and runs the program
// under test by a tail call. BPF_PROG_TEST_RUN repeats without rewinding: a
// MIRROR would be a bounced ACK the second time. With an empty slot it measures
// its own cost, which is subtracted.
type rewinder struct {
	slot  *ebpf.Map
	frame *ebpf.Map
	prog  *ebpf.Program
}

// newRewinder makes one for frames of frameBytes. head says at which end the
// program under test changes the length. words are u64 values written back into
// the lane table at their offsets, and after restores the authority word.
func (h *host) newRewinder(b *testing.B, f []byte, head bool, word lane.Word, words map[int16]uint64) *rewinder {
	b.Helper()
	r := &rewinder{}
	var err error
	b.Cleanup(func() {
		r.prog.Close()
		r.slot.Close()
		r.frame.Close()
	})
	if r.slot, err = ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1}); err != nil {
		b.Fatal(err)
	}
	if r.frame, err = ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: uint32(len(f)), MaxEntries: 1}); err != nil {
		b.Fatal(err)
	}
	if err := r.frame.Put(uint32(0), f); err != nil {
		b.Fatal(err)
	}
	adjust := asm.FnXdpAdjustTail
	if head {
		adjust = asm.FnXdpAdjustHead
	}
	ins := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R7, asm.R6, 4, asm.Word), // data_end
		asm.LoadMem(asm.R8, asm.R6, 0, asm.Word), // data
		asm.Sub.Reg(asm.R7, asm.R8),
		asm.Mov.Imm(asm.R2, int32(len(f))),
		asm.Sub.Reg(asm.R2, asm.R7),
	}
	if head {
		ins = append(ins, asm.Neg.Imm(asm.R2, 0))
	}
	ins = append(ins,
		asm.JEq.Imm(asm.R2, 0, "write"),
		asm.Mov.Reg(asm.R1, asm.R6),
		adjust.Call(),
		asm.Mov.Reg(asm.R1, asm.R6).WithSymbol("write"),
		asm.Mov.Imm(asm.R2, 0),
		asm.LoadMapValue(asm.R3, r.frame.FD(), 0),
		asm.Mov.Imm(asm.R4, int32(len(f))),
		asm.FnXdpStoreBytes.Call(),
	)
	ins = append(ins, putWords(h.k.maps["authority"].FD(), "word", map[int16]uint64{0: uint64(word)})...)
	ins = append(ins, putWords(h.k.maps["lanes"].FD(), "table", words)...)
	ins = append(ins,
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.LoadMapPtr(asm.R2, r.slot.FD()),
		asm.Mov.Imm(asm.R3, 0),
		asm.FnTailCall.Call(),
		asm.Mov.Imm(asm.R0, xdpPass),
		asm.Return(),
	)
	r.prog, err = ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, AttachType: ebpf.AttachXDP, License: "GPL", Instructions: ins})
	if err != nil {
		b.Fatalf("%+v", err)
	}
	return r
}

// putWords writes words into the lane's element of an array map.
func putWords(fd int, label string, words map[int16]uint64) asm.Instructions {
	ins := asm.Instructions{
		asm.StoreImm(asm.RFP, -4, laneID, asm.Word),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.LoadMapPtr(asm.R1, fd),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, label),
	}
	for offset, v := range words {
		ins = append(ins, asm.LoadImm(asm.R1, int64(v), asm.DWord), asm.StoreMem(asm.R0, offset, asm.R1, asm.DWord))
	}
	return append(ins, asm.Mov.Imm(asm.R0, 0).WithSymbol(label))
}

const benchRepeat = 100_000

// ns runs a frame through the rewinder and returns nanoseconds a repetition.
func (r *rewinder) ns(b *testing.B, h *host, f []byte, want uint32) time.Duration {
	b.Helper()
	verdict, d, err := r.prog.Benchmark(f, benchRepeat, nil)
	if err != nil {
		b.Fatal(err)
	}
	if verdict != want {
		h.mark()
		b.Fatalf("verdict %d, want %d (%v)", verdict, want, h.last)
	}
	return d
}

// Offsets in the lane table, see lane.TestTableLayout.
const (
	offTail       = 256
	offPeerAuth   = 384 + 8
	offPeerTail   = 384 + 16
	offNextOutput = 448
	offRxCounter  = 520
)

// BenchmarkPrograms: nanoseconds of one program run with warm caches, without
// driver, NIC or syscall. Best of several rounds: the machine is shared. Where
// a program changes the frame's length, making it longer again is in the
// figure too: about 15 ns.
func BenchmarkPrograms(b *testing.B) {
	h := newHost(b)
	ack := func(records, ride []byte) func() []byte {
		return func() []byte {
			return h.sent(wire.Ack, records, ride, func(x *wire.Header) {
				x.Path, x.Tail = lane.PathLink, uint64(len(records))
				x.Authority = lane.MakeWord(epoch, lane.Standby)
			})
		}
	}
	mirror := func(records, ride int) func() []byte {
		return func() []byte { return h.sent(wire.Mirror, bytesOf(records, 1), bytesOf(ride, 2), nil) }
	}
	none := func() []byte { return orderFrame(128) }
	for _, c := range []struct {
		name  string
		link  bool
		state lane.State
		frame func() []byte
		head  bool
		want  uint32
	}{
		{"mirror/128", true, lane.Standby, mirror(128, 0), false, xdpTx},
		{"mirror/160+110", true, lane.Standby, mirror(160, 110), false, xdpTx},
		{"mirror/1376", true, lane.Standby, mirror(1376, 0), false, xdpTx},
		{"ack/0", true, lane.Active, ack(nil, nil), false, xdpDrop},
		{"release/160+110", true, lane.Active, ack(bytesOf(160, 1), bytesOf(110, 2)), true, xdpRedirect},
		{"release/992+400", true, lane.Active, ack(bytesOf(992, 1), bytesOf(400, 2)), true, xdpRedirect},
		{"probe", true, lane.Active, func() []byte { return h.sent(wire.Probe, nil, nil, nil) }, false, xdpTx},
		{"steer/active", false, lane.Active, none, true, xdpRedirect},
		{"steer/forward", false, lane.Fenced, none, true, xdpRedirect},
	} {
		for _, auth := range []bool{true, false} {
			if !c.link && c.state == lane.Active && !auth {
				continue
			}
			b.Run(fmt.Sprintf("%s/auth=%v", c.name, auth), func(b *testing.B) {
				h.reset(c.state)
				if !auth {
					h.table.Config.Flags = 0
					h.peer.Enabled = false
				}
				f := c.frame()
				prog := h.k.Steer
				if c.link {
					prog = h.k.Link
				}
				r := h.newRewinder(b, f, c.head, h.wordNow(), map[int16]uint64{
					offTail: 0, offPeerTail: 0, offNextOutput: 0, offRxCounter: 0, offRxCounter + 8: 0,
					offPeerAuth: h.table.Peer.Authority,
				})
				best, base := time.Hour, time.Hour
				for b.Loop() {
					base = min(base, r.ns(b, h, f, xdpPass))
					if err := r.slot.Put(uint32(0), prog); err != nil {
						b.Fatal(err)
					}
					best = min(best, r.ns(b, h, f, c.want))
					if err := r.slot.Delete(uint32(0)); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(float64(best-base), "ns/frame")
				b.ReportMetric(float64(base), "ns/rewind")
			})
		}
	}
}
