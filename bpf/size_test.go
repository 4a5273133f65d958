package bpf

import (
	"testing"

	"github.com/cilium/ebpf"
)

// The programs that every order passes, as the kernel translated them. The bounds are
// far above what they have: a loop that the compiler has suddenly unrolled, or a step
// that stands in the program twice, shall be noticed.
func TestProgramsStaySmall(t *testing.T) {
	h := newHost(t)
	for _, c := range []struct {
		name string
		prog *ebpf.Program
		most int
	}{{"ob_steer", h.k.Steer, 9000}, {"ob_link", h.k.Link, 5000}} {
		name, most := c.name, c.most
		info, err := c.prog.Info()
		if err != nil {
			t.Fatal(err)
		}
		bytes, err := info.TranslatedSize()
		if err != nil {
			t.Fatal(err)
		}
		verified, _ := info.VerifiedInstructions()
		instructions := bytes / 8
		t.Logf("%s: %d instructions, the verifier looked at %d", name, instructions, verified)
		if instructions == 0 || instructions > most {
			t.Errorf("%s: %d instructions, at most %d", name, instructions, most)
		}
	}
}
