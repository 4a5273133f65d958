package pin

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// checkIRQBalance looks for the daemon that moves interrupts about.
func (h Host) checkIRQBalance() Finding {
	const subject = "irqbalance"
	comms, err := filepath.Glob(h.path("/proc/[0-9]*/comm"))
	if err != nil {
		return unreadable(subject, err)
	}
	for _, path := range comms {
		// a process that ends meanwhile is not the one
		if b, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(b)) == "irqbalance" {
			return warning(subject, "runs, and will move interrupts onto loop cores", "each interrupt there takes 2 to 20 us from the loop", "systemctl disable --now irqbalance")
		}
	}
	return note(subject, "does not run")
}

func (h Host) checkIRQs(iface string, cores []int) []Finding {
	subject := "interrupts of " + iface
	irqs, err := h.IRQs(iface)
	if err != nil {
		return []Finding{unreadable(subject, err)}
	}
	online, err := h.Isolation()
	if err != nil {
		return []Finding{unreadable(subject, err)}
	}
	left := formatCPUs(slices.DeleteFunc(slices.Clone(online.Online), func(c int) bool { return slices.Contains(cores, c) }))
	var f []Finding
	for _, irq := range irqs {
		for _, core := range cores {
			if !slices.Contains(irq.CPUs, core) || len(cores) >= len(irq.CPUs) {
				continue
			}
			var changes []Change
			if left != "" {
				changes = h.fileChange(affinityPath(irq.Number), left)
			}
			f = append(f, warning(subject, fmt.Sprintf("%d (%s) may interrupt loop core %d", irq.Number, irq.Name, core),
				"each interrupt takes 2 to 20 us from the loop, and its frames are worked on there",
				fmt.Sprintf("echo %s > %s", left, affinityPath(irq.Number)), changes...))
			break
		}
	}
	if len(f) == 0 {
		f = append(f, note(subject, "%d, none on a loop core", len(irqs)))
	}
	return f
}

// checkNode compares where a NIC and the loops' cores are plugged in.
func (h Host) checkNode(iface string, cores []int) Finding {
	subject := "NUMA node of " + iface
	text, err := h.read("/sys/class/net/" + iface + "/device/numa_node")
	if err != nil {
		return unreadable(subject, err)
	}
	node, bad := strconv.Atoi(text)
	if text == "" || bad != nil || node < 0 {
		return note(subject, "there is one, or the NIC belongs to none")
	}
	list, err := h.read(fmt.Sprintf("/sys/devices/system/node/node%d/cpulist", node))
	if err != nil {
		return unreadable(subject, err)
	}
	near, err := parseCPUs(list)
	if err != nil {
		return unreadable(subject, err)
	}
	for _, core := range cores {
		if core != NoCore && !slices.Contains(near, core) {
			return warning(subject, fmt.Sprintf("is %d (cores %s), and core %d is on another", node, list, core),
				"every frame crosses the sockets' interconnect: 0.1 to 0.3 us each way, more under load", "choose a core of "+list)
		}
	}
	return note(subject, "%d, that of the loops", node)
}

// NIC settings that Apply may change. Ring sizes and queues are not among them:
// drivers take the link down for those.
type wish struct {
	setting string
	want    uint32
	veth    bool // also of a veth
	why     string
}

const (
	whyCoalesce = "the driver holds frames back to have more of them: their time, tens of us, is added to every order"
	whyMerge    = "the kernel joins frames before a program sees them, or refuses native XDP"
	whyTag      = "the NIC takes 802.1Q tags out of frames: with [order] vlan the program does not see them"
	whyPause    = "a slow receiver stops the whole cable for a while"
)

var wishes = []wish{
	{"adaptive-rx", 0, true, whyCoalesce}, {"adaptive-tx", 0, true, whyCoalesce}, {"rx-usecs", 0, true, whyCoalesce}, {"tx-usecs", 0, true, whyCoalesce},
	{"lro", 0, true, whyMerge}, {"gro", 0, false, whyMerge}, // a veth's other end needs GRO to be a target of redirects
	{"rxvlan", 0, true, whyTag}, {"txvlan", 0, true, whyTag}, {"rx-pause", 0, true, whyPause}, {"tx-pause", 0, true, whyPause},
}

func (h Host) checkNIC(iface string, support map[string]XDPSupport) []Finding {
	var f []Finding
	if s, ok := support[iface]; ok {
		f = append(f, checkSupport(iface, &s))
	}
	for _, file := range []string{"napi_defer_hard_irqs", "gro_flush_timeout"} {
		path := "/sys/class/net/" + iface + "/" + file
		if changes := h.fileChange(path, "0"); changes != nil {
			f = append(f, warning(iface, file+" is "+changes[0].Old, "frames wait for a timer instead of an interrupt: on a veth 100 times slower",
				"echo 0 > "+path, changes...))
		}
	}
	tool := h.ethtool()
	if tool == nil {
		return f
	}
	for _, w := range wishes {
		have, err := getSetting(tool, iface, w.setting)
		if err != nil || have == w.want || !w.veth && support[iface].Driver == "veth" {
			continue // a driver that does not have it is no finding
		}
		f = append(f, warning(iface, fmt.Sprintf("%s is %d", w.setting, have), w.why, fmt.Sprintf("set it to %d with ethtool (-C, -K or -A)", w.want),
			Change{Kind: ChangeNIC, Target: iface, Setting: w.setting, Old: strconv.Itoa(int(have)), New: strconv.Itoa(int(w.want))}))
	}
	return append(f, checkQueues(tool, iface)...)
}

func checkSupport(iface string, s *XDPSupport) Finding {
	switch subject := "XDP of " + iface; {
	case !s.Native:
		return problem(subject, fmt.Sprintf("driver %s does not run programs natively: %s", s.Driver, s.Why),
			"generic XDP copies each frame into a socket buffer first: 2 to 5 us more, and no answer can leave on an acknowledgement", "use a NIC whose driver has native XDP (ixgbe, i40e, ice, mlx5, bnxt and others)")
	case !s.ZeroCopy && s.Driver != "veth":
		return warning(subject, fmt.Sprintf("driver %s: native, but sockets copy: %s", s.Driver, s.Why), "0.2 to 0.5 us for each frame",
			"update the driver, or use a NIC that has AF_XDP zero-copy (ixgbe, i40e, ice, mlx5, igc)")
	case !s.ZeroCopy:
		return note(subject, "driver %s: native, sockets copy", s.Driver)
	default:
		return note(subject, "driver %s: native, zero-copy", s.Driver)
	}
}

// mostRing is how many descriptors still fit the caches, with their frames.
const mostRing = 1024

// checkQueues: an order must arrive on the queue whose socket waits for it.
func checkQueues(tool ethtool, iface string) []Finding {
	var f []Finding
	rx, _ := getSetting(tool, iface, "rx-queues")
	combined, _ := getSetting(tool, iface, "combined-queues")
	if queues := rx + combined; queues > 1 {
		spread, rules := indirection(tool, iface), rules(tool, iface)
		what := fmt.Sprintf("%d receive queues, frames are spread (RSS) over %d of them, %d ntuple rules", queues, max(spread, 1), rules)
		if rules == 0 && spread != 1 {
			f = append(f, warning(iface, what, "only frames that arrive on the lane's queue reach its engine; the others go to the kernel, and are lost to it",
				fmt.Sprintf("ethtool -L %s combined 1, or ethtool -X %s equal 1, or a rule: ethtool -N %s flow-type udp4 dst-port PORT action QUEUE", iface, iface, iface)))
		} else {
			f = append(f, note(iface, "%s", what))
		}
	}
	if ring, err := getSetting(tool, iface, "rx-ring"); err == nil && ring > mostRing {
		f = append(f, warning(iface, fmt.Sprintf("receive ring of %d descriptors", ring), "each frame lands in memory that no cache holds: 0.1 us",
			fmt.Sprintf("ethtool -G %s rx %d (takes the link down for a moment)", iface, mostRing)))
	}
	return f
}
