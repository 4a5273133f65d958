package pin

import "testing"

// The part of memory that is asked for is whole huge pages within it, wherever it begins.
func TestHugepagesIn(t *testing.T) {
	memory := make([]byte, 5*hugepageBytes)
	for _, cut := range []int{0, 1, 4096, hugepageBytes - 1} {
		for _, length := range []int{0, 1, hugepageBytes - 1, hugepageBytes, 2*hugepageBytes + 1, len(memory) - cut} {
			part := memory[cut:][:length]
			from, to := hugepagesIn(part)
			if from > to || to > len(part) || (to-from)%hugepageBytes != 0 || from >= hugepageBytes {
				t.Fatalf("%d bytes at %d: from %d to %d", length, cut, from, to)
			}
			if from < to && addressOf(part[from:])%hugepageBytes != 0 {
				t.Errorf("%d bytes at %d: %d is not the beginning of a huge page", length, cut, from)
			}
			if length >= 2*hugepageBytes && to == from {
				t.Errorf("%d bytes at %d: none", length, cut)
			}
			AskHugepages(part)
		}
	}
}
