package xdp

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"onebeat/xdp/frame"
)

const (
	xdpPass = 2

	// struct xdp_md (linux/bpf.h)
	mdData    = 0
	mdDataEnd = 4
	mdQueue   = 16

	// offsets in the frame
	atEtherType = 12
	atVLAN      = 14 // of a frame with a tag; what follows moves by it
	atIPVersion = 14
	atIPFrag    = 20
	atIPProto   = 23
	atIPDst     = 30
	atUDPDst    = 36
	headerBytes = 42

	atIPv6Next      = 20
	atIPv6Dst       = 38
	atIPv6UDPDst    = 56
	ipv6HeaderBytes = 62

	ethIPv4 = 0x0800
	ethIPv6 = 0x86dd
	ethVLAN = 0x8100
	ipUDP   = 17
)

// Endpoint is the program and socket map of a host that only sends and
// receives: a client, a venue, a yardstick. UDP to one address and a few ports
// goes to the socket of the queue it arrived on; everything else, ARP above
// all, goes on to the kernel.
type Endpoint struct {
	iface      Interface
	prog       *ebpf.Program
	sockets    *ebpf.Map
	attachment *Attachment
}

// NewEndpoint attaches an endpoint program. Where a queue has no socket yet
// its traffic goes to the kernel.
func NewEndpoint(iface Interface, mode Mode, ip netip.Addr, ports ...uint16) (*Endpoint, error) {
	return newEndpoint(iface, mode, 0, ip, ports...)
}

func newEndpoint(iface Interface, mode Mode, vlan frame.VLAN, ip netip.Addr, ports ...uint16) (*Endpoint, error) {
	if !ip.IsValid() || len(ports) == 0 {
		return nil, fmt.Errorf("endpoint on %s: want an address and at least one port, have %s %v", iface.Name, ip, ports)
	}
	if err := CheckPrivileges(); err != nil {
		return nil, err
	}
	e := &Endpoint{iface: iface}
	var err error
	e.sockets, err = ebpf.NewMap(&ebpf.MapSpec{
		Name: "ob_endpoint", Type: ebpf.XSKMap, KeySize: 4, ValueSize: 4,
		MaxEntries: uint32(max(iface.RxQueues, iface.TxQueues, 1)),
	})
	if err != nil {
		return nil, explainLoad("create socket map", err)
	}
	e.prog, err = ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "ob_endpoint", Type: ebpf.XDP, License: "Dual BSD/GPL",
		Instructions: endpointProgram(e.sockets.FD(), vlan, ip.As16(), ports),
	})
	if err != nil {
		return nil, errors.Join(explainLoad("load endpoint program", err), e.Close())
	}
	if e.attachment, err = Attach(e.prog, iface, mode, ""); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

func explainLoad(what string, err error) error {
	if errors.Is(err, unix.EPERM) {
		return refuse(ErrNoPrivilege, fmt.Sprintf("%s: %v", what, err), privilegeRemedy)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// Register sends the traffic of a queue to the AF_XDP socket fd.
func (e *Endpoint) Register(queue, fd int) error {
	if err := e.sockets.Put(uint32(queue), uint32(fd)); err != nil {
		return fmt.Errorf("socket of %s queue %d into its map: %w", e.iface.Name, queue, err)
	}
	return nil
}

// Interface returns what the program is attached to.
func (e *Endpoint) Interface() Interface { return e.iface }

// MapFD is the socket map, for a child process that registers its own socket.
func (e *Endpoint) MapFD() int { return e.sockets.FD() }

// Close takes the program off the interface.
func (e *Endpoint) Close() error {
	var errs []error
	if e.attachment != nil {
		errs = append(errs, e.attachment.Detach())
	}
	if e.prog != nil {
		errs = append(errs, e.prog.Close())
	}
	errs = append(errs, e.sockets.Close())
	return errors.Join(errs...)
}

// OpenEndpoint opens a socket that receives UDP to ip and ports on its queue
// and leaves everything else to the kernel. Close undoes all of it.
func OpenEndpoint(o Options, ip netip.Addr, ports ...uint16) (*Socket, error) {
	s, err := Open(o)
	if err != nil {
		return nil, err
	}
	e, err := newEndpoint(s.iface, ModeNative, o.VLAN, ip, ports...)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.closers = append(s.closers, e.Close)
	if err := e.Register(o.Queue, s.fd); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// endpointProgram is small enough to be written out; the order and link NICs'
// programs are C, in bpf/.
func endpointProgram(mapFD int, vlan frame.VLAN, ip frame.IP, ports []uint16) asm.Instructions {
	const pass, take = "pass", "take"
	tag := int16(vlan.Bytes())
	p := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R2, asm.R1, mdData, asm.Word),
		asm.LoadMem(asm.R3, asm.R1, mdDataEnd, asm.Word),
		asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, int32(ip.HeaderBytes())+int32(tag)),
		asm.JGT.Reg(asm.R4, asm.R3, pass),
	}
	if vlan != 0 {
		p = append(p,
			asm.LoadMem(asm.R5, asm.R2, atEtherType, asm.Half),
			asm.JNE.Imm(asm.R5, wire16(ethVLAN), pass),
			asm.LoadMem(asm.R5, asm.R2, atVLAN, asm.Half),
			asm.And.Imm(asm.R5, wire16(0x0fff)), // without the priority
			asm.JNE.Imm(asm.R5, wire16(uint16(vlan)), pass))
	}
	if ip.Is4() {
		p = append(p, toIPv4(tag, ip.As4(), pass)...)
	} else {
		p = append(p, toIPv6(tag, ip, pass)...)
	}
	for _, port := range ports {
		p = append(p, asm.JEq.Imm(asm.R5, wire16(port), take))
	}
	return append(p,
		asm.Mov.Imm(asm.R0, xdpPass).WithSymbol(pass),
		asm.Return(),
		asm.LoadMapPtr(asm.R1, mapFD).WithSymbol(take),
		asm.LoadMem(asm.R2, asm.R6, mdQueue, asm.Word),
		asm.Mov.Imm(asm.R3, xdpPass), // verdict when the slot is empty
		asm.FnRedirectMap.Call(),
		asm.Return(),
	)
}

// toIPv4 jumps to pass unless a frame is a datagram to ip, and loads its port.
func toIPv4(tag int16, ip [4]byte, pass string) asm.Instructions {
	return asm.Instructions{
		asm.LoadMem(asm.R5, asm.R2, tag+atEtherType, asm.Half),
		asm.JNE.Imm(asm.R5, wire16(ethIPv4), pass),
		asm.LoadMem(asm.R5, asm.R2, tag+atIPVersion, asm.Byte),
		asm.JNE.Imm(asm.R5, 0x45, pass), // no IP options
		asm.LoadMem(asm.R5, asm.R2, tag+atIPProto, asm.Byte),
		asm.JNE.Imm(asm.R5, ipUDP, pass),
		asm.LoadMem(asm.R5, asm.R2, tag+atIPFrag, asm.Half),
		asm.And.Imm(asm.R5, wire16(0x3fff)), // more fragments, offset
		asm.JNE.Imm(asm.R5, 0, pass),
		asm.LoadMem(asm.R5, asm.R2, tag+atIPDst, asm.Word),
		// 32-bit compare: a 64-bit one would sign-extend the address
		asm.JNE.Imm32(asm.R5, wire32(ip), pass),
		asm.LoadMem(asm.R5, asm.R2, tag+atUDPDst, asm.Half),
	}
}

// toIPv6 is toIPv4 for IPv6 without extension headers.
func toIPv6(tag int16, ip frame.IP, pass string) asm.Instructions {
	p := asm.Instructions{
		asm.LoadMem(asm.R5, asm.R2, tag+atEtherType, asm.Half),
		asm.JNE.Imm(asm.R5, wire16(ethIPv6), pass),
		asm.LoadMem(asm.R5, asm.R2, tag+atIPVersion, asm.Byte),
		asm.And.Imm(asm.R5, 0xf0),
		asm.JNE.Imm(asm.R5, 0x60, pass),
		asm.LoadMem(asm.R5, asm.R2, tag+atIPv6Next, asm.Byte),
		asm.JNE.Imm(asm.R5, ipUDP, pass),
	}
	for i := int16(0); i < 16; i += 4 {
		p = append(p,
			asm.LoadMem(asm.R5, asm.R2, tag+atIPv6Dst+i, asm.Word),
			asm.JNE.Imm32(asm.R5, wire32([4]byte(ip[i:])), pass))
	}
	return append(p, asm.LoadMem(asm.R5, asm.R2, tag+atIPv6UDPDst, asm.Half))
}
