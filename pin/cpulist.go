package pin

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// maxCPU bounds what a list may name, so that a bad one cannot ask for the
// memory of a billion numbers.
const maxCPU = 1 << 16

// parseCPUs reads the kernel's CPU list format, "0-2,5" (bitmap_parselist).
func parseCPUs(s string) ([]int, error) {
	var cpus []int
	s = strings.TrimSpace(s)
	if s == "" || s == "(null)" {
		return nil, nil
	}
	for _, part := range strings.Split(s, ",") {
		from, to, isRange := strings.Cut(part, "-")
		first, err := strconv.Atoi(from)
		last := first
		if err == nil && isRange {
			last, err = strconv.Atoi(to)
		}
		if err != nil || first < 0 || last < first || last >= maxCPU {
			return nil, fmt.Errorf("CPU list %q: %q is neither a number nor a range", s, part)
		}
		for cpu := first; cpu <= last; cpu++ {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}

// formatCPUs is the opposite of parseCPUs.
func formatCPUs(cpus []int) string {
	sorted := append([]int(nil), cpus...)
	sort.Ints(sorted)
	var parts []string
	for i := 0; i < len(sorted); {
		j := i
		for j+1 < len(sorted) && sorted[j+1] <= sorted[j]+1 {
			j++
		}
		if sorted[i] == sorted[j] {
			parts = append(parts, strconv.Itoa(sorted[i]))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d", sorted[i], sorted[j]))
		}
		i = j + 1
	}
	return strings.Join(parts, ",")
}

// parseMask reads the kernel's CPU mask format, 32 bits in hex a group, the
// highest first ("3,ffffffff").
func parseMask(s string) ([]int, error) {
	groups := strings.Split(strings.TrimSpace(s), ",")
	var cpus []int
	for i := range groups {
		bits, err := strconv.ParseUint(groups[len(groups)-1-i], 16, 32)
		if err != nil || 32*i >= maxCPU {
			return nil, fmt.Errorf("CPU mask %q: groups of 32 bits in hex are expected", s)
		}
		for b := range 32 {
			if bits>>b&1 != 0 {
				cpus = append(cpus, 32*i+b)
			}
		}
	}
	return cpus, nil
}

// formatMask writes that format.
func formatMask(cpus []int) string {
	var groups []uint32
	for _, cpu := range cpus {
		for len(groups) <= cpu/32 {
			groups = append(groups, 0)
		}
		groups[cpu/32] |= 1 << (cpu % 32)
	}
	text := "0"
	for i := len(groups) - 1; i >= 0; i-- {
		if i == len(groups)-1 {
			text = strconv.FormatUint(uint64(groups[i]), 16)
		} else {
			text += fmt.Sprintf(",%08x", groups[i])
		}
	}
	return text
}
