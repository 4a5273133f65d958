package node

import (
	"errors"
	"net/netip"
	"path/filepath"
	"slices"

	"onebeat/bpf"
	"onebeat/mirror/lane"
	"onebeat/tools/lanetcp"
	"onebeat/xdp"
)

// retireLanes ends what the kernel does for lanes that were taken out of the
// configuration: it would go on to acknowledge records that nobody reads. Their
// rings stay until Cleanup.
func (n *Node) retireLanes() error {
	for id := range bpf.Lanes {
		table := lane.At(n.kernel.Lane(id))
		if n.cfg.Lane(id) != nil || table.Config.Used == 0 {
			continue
		}
		table.Config.Used = 0
		if err := lanetcp.RemoveAddress(netip.AddrFrom4(table.Config.LaneIP)); err != nil {
			return err
		}
		if err := n.kernel.StopTimer(id); err != nil {
			return err
		}
		n.log.Warn("a lane is configured no more", "lane", id)
	}
	return nil
}

// detachFormerLinks takes the program off link NICs that were taken out of the
// configuration.
func (n *Node) detachFormerLinks() error {
	pins, err := filepath.Glob(filepath.Join(n.cfg.Node.BPFFS, bpf.LinkLinkPins))
	if err != nil {
		return err
	}
	var wanted []string
	for peer := range n.links {
		wanted = append(wanted, filepath.Join(n.cfg.Node.BPFFS, bpf.LinkLinkPin(peer)))
	}
	var errs []error
	for _, pin := range pins {
		if !slices.Contains(wanted, pin) {
			errs = append(errs, xdp.DetachPinned(pin))
		}
	}
	return errors.Join(errs...)
}
