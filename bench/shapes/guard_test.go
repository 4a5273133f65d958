package shapes

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"onebeat/bench/lab/labtest"
	"onebeat/bench/steps"
	"onebeat/tools/config"
)

// stepsEnv makes this test program the child whose instructions are counted.
const stepsEnv = "ONEBEAT_TEST_STEPS"

func TestMain(m *testing.M) {
	if name := os.Getenv(stepsEnv); name != "" {
		if err := serveSteps(name); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func serveSteps(name string) error {
	layout, err := DefaultLayout()
	if err != nil {
		return err
	}
	if err := steps.Attend(os.Stdout, os.Stdin); err != nil {
		return err
	}
	b, err := New(Options{Layout: layout, Count: 1, Limit: time.Minute})
	if err != nil {
		return err
	}
	defer b.Close()
	for _, c := range instructionBounds {
		if c.setting.Name() == name {
			return b.Instructions(context.Background(), c.setting, guardedOrders)
		}
	}
	return fmt.Errorf("no setting %q", name)
}

// guardedOrders is how many are counted: those of a book rest and trade in turn.
const guardedOrders = 2

// instructionBounds are what an order may take in user space: more than half as much again as
// it did when this was written. It takes whoever doubles it by accident, whatever
// the machine.
var instructionBounds = []struct {
	setting Setting
	most    int
}{
	{order(config.AppBook), 8000},
	{mirrored(config.AppGateway, config.ReleaseRide, true), 14000}, // with all of the checks, and two rides
}

func TestInstructionsOfAnOrder(t *testing.T) {
	labtest.NeedRoot(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range instructionBounds {
		t.Run(c.setting.Name(), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			cmd := exec.Command(self)
			cmd.Env = append(os.Environ(), stepsEnv+"="+c.setting.Name())
			n, err := steps.Child(ctx, cmd)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d instructions; %v", n.Least(), n.Pieces)
			if len(n.Pieces) != guardedOrders || n.Least() < 500 || len(n.Where) < 10 {
				t.Errorf("counted %v in %d functions: not an order's path", n.Pieces, len(n.Where))
			}
			if n.Least() > c.most {
				t.Errorf("%d instructions for an order, at most %d: `onebeat bench instructions` says where they are\n%v", n.Least(), c.most, n.Where[:10])
			}
		})
	}
}

// What an order costs over an echo, and a mirrored one over that, each measured
// within a second of the other. The bounds are far above what is promised: a machine
// that is busy with other things must not trip them, a lost ride or a second kick
// for each order shall.
func TestRatiosOfAnOrder(t *testing.T) {
	labtest.NeedRoot(t)
	layout, err := DefaultLayout()
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(Options{Layout: layout, Count: 3000, Warmup: 1000, Limit: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	settings := []Setting{echoOf(Echo), order(config.AppBook), mirrored(config.AppBook, config.ReleaseRide, true)}
	bounds := []float64{1: 2, 2: 2.2}
	const tries = 3
	for try := 1; ; try++ {
		rounds := make([][]Result, len(settings))
		for range 3 {
			for i, s := range settings {
				r, err := b.Measure(context.Background(), s)
				if err != nil {
					t.Fatal(err)
				}
				rounds[i] = append(rounds[i], r)
			}
		}
		broken := ""
		for i := 1; i < len(settings); i++ {
			ratio := MedianRatio(rounds[i], rounds[i-1], P50)
			t.Logf("%s / %s: %.3f", settings[i].Name(), settings[i-1].Name(), ratio)
			if ratio > bounds[i] {
				broken += fmt.Sprintf("%s takes %.2f times %s, at most %.1f\n", settings[i].Name(), ratio, settings[i-1].Name(), bounds[i])
			}
		}
		switch {
		case broken == "":
			return
		case try == tries:
			t.Fatalf("%d times in a row:\n%s", tries, broken)
		}
	}
}
