package pin

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// IRQ is one interrupt of a NIC.
type IRQ struct {
	Number int
	Name   string // as /proc/interrupts has it, such as "eth0-TxRx-0"
	CPUs   []int  // may be delivered to
}

// IRQs lists the interrupts of an interface. A veth has none.
func (h Host) IRQs(iface string) ([]IRQ, error) {
	if strings.ContainsAny(iface, "/") {
		return nil, fmt.Errorf("interface name %q", iface)
	}
	numbers, err := h.irqNumbers(iface)
	if err != nil {
		return nil, fmt.Errorf("interrupts of %s: %w", iface, err)
	}
	names, err := h.irqNames()
	if err != nil {
		return nil, fmt.Errorf("interrupts of %s: %w", iface, err)
	}
	// Some drivers only show their interrupts by name, "eth0-rx-0".
	for number, name := range names {
		if (name == iface || strings.HasPrefix(name, iface+"-")) && !slices.Contains(numbers, number) {
			numbers = append(numbers, number)
		}
	}
	sort.Ints(numbers)
	var irqs []IRQ
	for _, n := range numbers {
		text, err := h.read(affinityPath(n))
		if err != nil {
			return nil, fmt.Errorf("affinity of interrupt %d: %w", n, err)
		}
		cpus, err := parseCPUs(text)
		if err != nil {
			return nil, fmt.Errorf("affinity of interrupt %d: %w", n, err)
		}
		irqs = append(irqs, IRQ{Number: n, Name: names[n], CPUs: cpus})
	}
	return irqs, nil
}

func affinityPath(number int) string {
	return fmt.Sprintf("/proc/irq/%d/smp_affinity_list", number)
}

// irqNumbers are the MSI vectors of the device behind the interface; behind a
// virtio NIC the PCI device is one directory up.
func (h Host) irqNumbers(iface string) ([]int, error) {
	var numbers []int
	for _, dir := range []string{"device/msi_irqs", "device/../msi_irqs"} {
		// The path goes through a symbolic link: ".." is the kernel's to resolve.
		entries, err := os.ReadDir(h.path("/sys/class/net/"+iface) + "/" + dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if n, err := strconv.Atoi(e.Name()); err == nil {
				numbers = append(numbers, n)
			}
		}
		if len(numbers) > 0 {
			break
		}
	}
	return numbers, nil
}

// irqNames reads /proc/interrupts: a number, a count for each CPU, the chip,
// and at the end the name.
func (h Host) irqNames() (map[int]string, error) {
	f, err := os.Open(h.path("/proc/interrupts"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names := map[int]string{}
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20) // a line has a column for each CPU
	for sc.Scan() {
		label, rest, ok := strings.Cut(strings.TrimSpace(sc.Text()), ":")
		n, err := strconv.Atoi(label)
		fields := strings.Fields(rest)
		if ok && err == nil && len(fields) > 0 {
			names[n] = fields[len(fields)-1]
		}
	}
	return names, sc.Err()
}
