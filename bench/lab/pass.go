package lab

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const xdpPass = 2 // XDP_PASS of include/uapi/linux/bpf.h

// attachPass puts a program that passes everything on a NIC. What the other
// end answers with XDP_TX is queued to this end with GRO alone, but this end is
// only woken to take it when it has a program (veth_xdp_flush in
// drivers/net/veth.c): without one an ARP answer waits for the next frame.
//
// Attached over netlink, it stays until the NIC goes.
func attachPass(nic netlink.Link) error {
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "lab_pass", Type: ebpf.XDP, License: "Dual BSD/GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, xdpPass), asm.Return()},
	})
	if err != nil {
		return fmt.Errorf("load the passing program: %w", err)
	}
	defer prog.Close()
	if err := netlink.LinkSetXdpFdWithFlags(nic, prog.FD(), unix.XDP_FLAGS_DRV_MODE); err != nil {
		return fmt.Errorf("attach the passing program: %w", err)
	}
	return nil
}
