// Package labtest gives tests their root and their network.
package labtest

import (
	"os"
	"testing"

	"onebeat/bench/lab"
)

// NeedRoot fails a test that has no root: what only the kernel can prove must
// not pass by not running. `go test -short` (make test-unit) leaves such tests
// out and says so.
func NeedRoot(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs root and the kernel: left out by -short, `make test` runs it")
	}
	if os.Geteuid() != 0 {
		t.Fatal("needs root: run `sudo make test`, or `make test-unit` for the tests that do not")
	}
}

// Up builds a lab for one test and takes it down after it.
func Up(t testing.TB, topology lab.Topology) *lab.Lab {
	t.Helper()
	return UpSpec(t, lab.Spec{Topology: topology})
}

// UpSpec builds a lab that is not as by default.
func UpSpec(t testing.TB, spec lab.Spec) *lab.Lab {
	t.Helper()
	NeedRoot(t)
	l, err := lab.Up(spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Down(); err != nil {
			t.Error(err)
		}
	})
	return l
}
