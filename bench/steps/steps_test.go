package steps

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"
)

const childEnv = "ONEBEAT_TEST_STEPS"

func TestMain(m *testing.M) {
	switch os.Getenv(childEnv) {
	case "":
		os.Exit(m.Run())
	case "pieces":
		if err := Attend(os.Stdout, os.Stdin); err != nil {
			os.Exit(1)
		}
		for _, rounds := range []int{100, 100, 200} {
			Begin()
			spun += spin(rounds)
			End()
		}
	case "fails":
		if err := Attend(os.Stdout, os.Stdin); err != nil {
			os.Exit(1)
		}
		os.Exit(3)
	}
	os.Exit(0)
}

var spun int

//go:noinline
func spin(rounds int) (sum int) {
	for i := range rounds {
		sum += i * i
	}
	return sum
}

func child(what string) *exec.Cmd {
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), childEnv+"="+what)
	return c
}

// The same work takes the same instructions, twice the work about twice as many,
// and they are found where they are.
func TestPiecesAreCounted(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector's instructions would be counted too: left out by -short, `make test` runs it")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	n, err := Child(ctx, child("pieces"))
	if err != nil {
		t.Fatal(err)
	}
	p := n.Pieces
	if len(p) != 3 || p[0] != p[1] || p[0] < 300 || p[0] > 3000 || p[2]-p[0] < 300 || n.Least() != p[0] {
		t.Errorf("pieces of %v instructions", p)
	}
	if f := n.Where[0]; f.Name != "onebeat/bench/steps.spin" || f.Instructions < 300 {
		t.Errorf("most of it is in %+v", f)
	}
}

func TestChildWithoutAPiece(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, what := range []string{"nothing", "fails"} {
		if _, err := Child(ctx, child(what)); !errors.Is(err, ErrNotCounted) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
