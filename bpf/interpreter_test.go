package bpf

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// interpreter executes an XDP program's compiled instructions in user space (RFC
// 9669) and counts them: a figure that no clock, cache or neighbour changes. It
// executes what the compiler made; what the verifier leaves out afterwards, because
// it knows the constants, is counted too. A helper counts as one.
type interpreter struct {
	code    asm.Instructions
	index   map[asm.RawInstructionOffset]int // of an instruction, by its offset
	offsets []asm.RawInstructionOffset
	symbols map[string]int
	r       [11]uint64
	regions []region

	maps     []string // by handle
	values   map[string]*region
	filled   func(m string, key uint32) bool // of sockets and devices
	lane     uint32                          // the one that has a ring
	data     uint64                          // the frame's
	dataEnd  uint64
	executed int
	helpers  int
	failed   error
}

// region is memory that the program may touch.
type region struct {
	name       string
	base       uint64
	b          []byte
	valueBytes uint32 // of a map's
}

// Addresses: regions are far from each other, and the frame's fit into the 32 bits
// that a program reads of its context.
const (
	baseContext  = 0x1000_0000
	basePacket   = 0x2000_0000
	baseStack    = 0x3000_0000
	baseSocket   = 0x4000_0000
	baseMaps     = 0x1_0000_0000
	baseHandles  = 0xffff_0000_0000
	packetBefore = 256 // XDP_PACKET_HEADROOM
	stackBytes   = 512
	stepsMost    = 1_000_000
)

func newInterpreter(spec *ebpf.CollectionSpec, program string, filled func(m string, key uint32) bool) *interpreter {
	x := &interpreter{code: spec.Programs[program].Instructions, index: map[asm.RawInstructionOffset]int{}, symbols: map[string]int{},
		values: map[string]*region{}, filled: filled}
	for it := x.code.Iterate(); it.Next(); {
		x.index[it.Offset] = it.Index
		x.offsets = append(x.offsets, it.Offset)
		if s := it.Ins.Symbol(); s != "" {
			x.symbols[s] = it.Index
		}
	}
	for name, m := range spec.Maps {
		if m.Type != ebpf.Array || len(m.Contents) == 0 {
			continue
		}
		constants := make([]byte, m.ValueSize)
		for _, v := range spec.Variables {
			if v.SectionName == name {
				copy(constants[v.Offset:], v.Value)
			}
		}
		x.addMap(name, constants, m.ValueSize)
	}
	return x
}

// addMap gives a map's elements, one behind the other.
func (x *interpreter) addMap(name string, b []byte, valueBytes uint32) {
	x.values[name] = &region{name, baseMaps * uint64(len(x.values)+1), b, valueBytes}
}

// run gives a frame to the program and returns its verdict and what it made of it.
func (x *interpreter) run(f []byte) (verdict uint32, out []byte, err error) {
	packet := make([]byte, packetBefore+len(f))
	copy(packet[packetBefore:], f)
	x.data, x.dataEnd = basePacket+packetBefore, basePacket+uint64(len(packet))
	x.regions = []region{{name: "stack", base: baseStack, b: make([]byte, stackBytes)}, {name: "packet", base: basePacket, b: packet}}
	for _, r := range x.values {
		x.regions = append(x.regions, *r)
	}
	x.r, x.executed, x.helpers, x.failed = [11]uint64{1: baseContext, 10: baseStack + stackBytes}, 0, 0, nil
	for pc := 0; x.failed == nil; {
		if x.executed++; x.executed > stepsMost {
			return 0, nil, fmt.Errorf("no end after %d instructions", stepsMost)
		}
		ins := &x.code[pc]
		if ins.OpCode.Class().IsJump() && ins.OpCode.JumpOp() == asm.Exit {
			return uint32(x.r[0]), packet[x.data-basePacket : x.dataEnd-basePacket], nil
		}
		next := x.step(ins, pc)
		if x.failed != nil {
			return 0, nil, fmt.Errorf("instruction %d, %v: %w", pc, ins, x.failed)
		}
		pc = next
	}
	return 0, nil, x.failed
}

// step executes one and returns the index of the next.
func (x *interpreter) step(ins *asm.Instruction, pc int) int {
	switch class := ins.OpCode.Class(); {
	case ins.OpCode.IsDWordLoad():
		x.r[ins.Dst] = x.constant(ins)
	case class == asm.LdXClass:
		x.r[ins.Dst] = x.load(x.r[ins.Src]+uint64(int64(ins.Offset)), ins.OpCode.Size().Sizeof())
	case class == asm.StClass:
		x.store(x.r[ins.Dst]+uint64(int64(ins.Offset)), uint64(ins.Constant), ins.OpCode.Size().Sizeof())
	case class == asm.StXClass && ins.OpCode.Mode() == asm.AtomicMode:
		x.atomic(ins)
	case class == asm.StXClass:
		x.store(x.r[ins.Dst]+uint64(int64(ins.Offset)), x.r[ins.Src], ins.OpCode.Size().Sizeof())
	case class.IsALU():
		x.alu(ins)
	case ins.IsBuiltinCall():
		x.helpers++
		x.r[0] = x.call(asm.BuiltinFunc(ins.Constant))
	case class.IsJump():
		if x.jumps(ins) {
			return x.target(ins, pc)
		}
	default:
		x.failed = fmt.Errorf("unknown class %v", class)
	}
	return pc + 1
}

func (x *interpreter) target(ins *asm.Instruction, pc int) int {
	if at, ok := x.symbols[ins.Reference()]; ok {
		return at
	}
	at, ok := x.index[x.offsets[pc]+1+asm.RawInstructionOffset(int64(ins.Offset))]
	if !ok {
		x.failed = fmt.Errorf("a jump to nowhere")
	}
	return at
}

// constant is what a load of 64 bits brings: a number, a map, or an address in one.
func (x *interpreter) constant(ins *asm.Instruction) uint64 {
	switch ins.Src {
	case asm.PseudoMapValue:
		return x.values[ins.Reference()].base + uint64(ins.Constant)>>32
	case asm.PseudoMapFD:
		return x.handle(ins.Reference())
	}
	return uint64(ins.Constant)
}

func (x *interpreter) handle(name string) uint64 {
	for i, m := range x.maps {
		if m == name {
			return baseHandles + uint64(i)
		}
	}
	x.maps = append(x.maps, name)
	return baseHandles + uint64(len(x.maps)-1)
}

func (x *interpreter) bytes(address uint64, n int) []byte {
	for i := range x.regions {
		r := &x.regions[i]
		if address >= r.base && address+uint64(n) <= r.base+uint64(len(r.b)) {
			return r.b[address-r.base:][:n]
		}
	}
	x.failed = fmt.Errorf("%d bytes at %#x are nobody's", n, address)
	return make([]byte, n)
}

func (x *interpreter) load(address uint64, n int) uint64 {
	switch address - baseContext {
	case 0:
		return x.data
	case 4:
		return x.dataEnd
	case 12, 16:
		return 0 // the first queue of the first interface
	}
	var v [8]byte
	copy(v[:], x.bytes(address, n))
	return binary.LittleEndian.Uint64(v[:])
}

func (x *interpreter) store(address, value uint64, n int) {
	var v [8]byte
	binary.LittleEndian.PutUint64(v[:], value)
	copy(x.bytes(address, n), v[:n])
}

func (x *interpreter) atomic(ins *asm.Instruction) {
	address, n := x.r[ins.Dst]+uint64(int64(ins.Offset)), ins.OpCode.Size().Sizeof()
	old, value := x.load(address, n), x.r[ins.Src]
	switch ins.OpCode.AtomicOp() {
	case asm.AddAtomic:
		x.store(address, old+value, n)
	case asm.FetchAdd:
		x.store(address, old+value, n)
		x.r[ins.Src] = old
	case asm.Xchg:
		x.store(address, value, n)
		x.r[ins.Src] = old
	case asm.CmpXchg:
		if old == x.r[0] {
			x.store(address, value, n)
		}
		x.r[0] = old
	default:
		x.failed = fmt.Errorf("unknown atomic operation")
	}
}

// operand is the second of an operation.
func (x *interpreter) operand(ins *asm.Instruction) uint64 {
	if ins.OpCode.Source() == asm.RegSource {
		return x.r[ins.Src]
	}
	return uint64(ins.Constant)
}

func (x *interpreter) alu(ins *asm.Instruction) {
	wide := ins.OpCode.Class() == asm.ALU64Class
	a, width := x.r[ins.Dst], uint64(64)
	if ins.OpCode.ALUOp() == asm.Swap {
		x.r[ins.Dst] = swap(a, int(ins.Constant), ins.OpCode.Endianness() == asm.BE)
		return
	}
	b := x.operand(ins)
	if !wide {
		a, b, width = uint64(uint32(a)), uint64(uint32(b)), 32
	}
	switch ins.OpCode.ALUOp() {
	case asm.Add:
		a += b
	case asm.Sub:
		a -= b
	case asm.Mul:
		a *= b
	case asm.Div:
		a /= max(b, 1)
	case asm.Mod:
		a %= max(b, 1)
	case asm.Or:
		a |= b
	case asm.And:
		a &= b
	case asm.Xor:
		a ^= b
	case asm.LSh:
		a <<= b & (width - 1)
	case asm.RSh:
		a >>= b & (width - 1)
	case asm.ArSh:
		if a = uint64(int64(a) >> (b & 63)); !wide {
			a = uint64(int32(x.r[ins.Dst]) >> (b & 31))
		}
	case asm.Neg:
		a = -a
	case asm.Mov:
		a = b
	default:
		x.failed = fmt.Errorf("unknown operation")
	}
	if !wide {
		a = uint64(uint32(a))
	}
	x.r[ins.Dst] = a
}

// swap makes the low bits of a value big-endian, or only cuts them off.
func swap(v uint64, width int, big bool) uint64 {
	if big {
		v = bits.ReverseBytes64(v) >> (64 - width)
	}
	return v & (^uint64(0) >> (64 - width))
}

func (x *interpreter) jumps(ins *asm.Instruction) bool {
	a, b := x.r[ins.Dst], x.operand(ins)
	sa, sb := int64(a), int64(b)
	if ins.OpCode.Class() == asm.Jump32Class {
		sa, sb = int64(int32(a)), int64(int32(b))
		a, b = uint64(uint32(a)), uint64(uint32(b))
	}
	switch ins.OpCode.JumpOp() {
	case asm.Ja:
		return true
	case asm.JEq:
		return a == b
	case asm.JNE:
		return a != b
	case asm.JGT:
		return a > b
	case asm.JGE:
		return a >= b
	case asm.JLT:
		return a < b
	case asm.JLE:
		return a <= b
	case asm.JSet:
		return a&b != 0
	case asm.JSGT:
		return sa > sb
	case asm.JSGE:
		return sa >= sb
	case asm.JSLT:
		return sa < sb
	case asm.JSLE:
		return sa <= sb
	}
	x.failed = fmt.Errorf("unknown jump")
	return false
}

// call is what the kernel's helpers do, as far as the programs' ordinary paths need
// them.
func (x *interpreter) call(f asm.BuiltinFunc) uint64 {
	switch f {
	case asm.FnMapLookupElem:
		return x.lookup(x.maps[x.r[1]-baseHandles], uint32(x.load(x.r[2], 4)))
	case asm.FnRedirectMap:
		if x.filled(x.maps[x.r[1]-baseHandles], uint32(x.r[2])) {
			return xdpRedirect
		}
		return x.r[3]
	case asm.FnXdpAdjustHead:
		x.data += uint64(int64(int32(x.r[2])))
		return 0
	case asm.FnXdpAdjustTail:
		x.dataEnd += uint64(int64(int32(x.r[2])))
		return 0
	case asm.FnXdpLoadBytes:
		if x.data+x.r[2]+x.r[4] > x.dataEnd {
			return ^uint64(21) // -EINVAL
		}
		copy(x.bytes(x.r[3], int(x.r[4])), x.bytes(x.data+x.r[2], int(x.r[4])))
		return 0
	case asm.FnKtimeGetNs:
		return 1
	}
	x.failed = fmt.Errorf("%v is not known here", f)
	return 0
}

// ringOf is a lane's ring, a map in the map "rings".
const ringOf = "ring"

func (x *interpreter) lookup(name string, key uint32) uint64 {
	switch name {
	case "rings":
		if key != x.lane {
			return 0
		}
		return x.handle(ringOf)
	case "xsks_order", "xsks_link":
		if !x.filled(name, key) {
			return 0
		}
		return baseSocket // only compared with none
	}
	m := x.values[name]
	if m == nil {
		x.failed = fmt.Errorf("no map %q", name)
		return 0
	}
	if uint64(key+1)*uint64(m.valueBytes) > uint64(len(m.b)) {
		return 0
	}
	return m.base + uint64(key)*uint64(m.valueBytes)
}
