package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"onebeat/bench/lab"
	"onebeat/bench/lab/labtest"
	"onebeat/pin"
	"onebeat/xdp"
)

// A veth of the lab's is tried, changed and put back, really.
func TestDoctorOfAVeth(t *testing.T) {
	l := labtest.Up(t, lab.Switched)
	file := filepath.Join(t.TempDir(), "state.json")
	doctor := func(args ...string) *doctorReport {
		t.Helper()
		args = append([]string{"doctor", "--json", "--jitter", "20ms", "--state", file}, args...)
		c := l.Command(lab.NodeA, os.Args[0], args...)
		var out, errs bytes.Buffer
		c.Env = append(os.Environ(), asProgram+"=1")
		c.Stdout, c.Stderr = &out, &errs
		err := c.Run() // 1: there are problems
		var r doctorReport
		if bad := json.Unmarshal(out.Bytes(), &r); bad != nil {
			t.Fatalf("%v, %v: %s%s", err, bad, out.Bytes(), errs.Bytes())
		}
		return &r
	}
	gro := func() (on bool) {
		t.Helper()
		if err := l.Do(lab.NodeA, func() error {
			i, err := xdp.Inspect(lab.OrderNIC)
			on = i.Native
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return on
	}
	native := gro()
	r := doctor("--interface", lab.OrderNIC, "--cores", "0")
	said := ""
	for _, f := range r.Findings {
		said += f.Subject + ": " + f.What + "\n"
	}
	if !strings.Contains(said, "XDP of "+lab.OrderNIC+": driver veth: native, sockets copy") || len(r.Jitter) != 1 || r.Jitter[0].Looks == 0 {
		t.Errorf("%s %+v", said, r.Jitter)
	}
	if gro() != native {
		t.Error("a look changed the NIC")
	}
}

// By the driver itself: a value is changed, and put back.
func TestDoctorChangesAndReverts(t *testing.T) {
	l := labtest.Up(t, lab.Switched)
	file := filepath.Join(t.TempDir(), "state.json")
	h := pin.Host{}
	changes := []pin.Change{
		{Kind: pin.ChangeNIC, Target: lab.OrderNIC, Setting: "txvlan", Old: "0", New: "1"},
		{Kind: pin.ChangeFile, Target: "/proc/sys/net/ipv4/conf/" + lab.OrderNIC + "/log_martians", Old: "0", New: "1"},
	}
	for _, step := range []func(string) ([]pin.Outcome, error){
		func(f string) ([]pin.Outcome, error) { return h.Apply(f, changes) }, h.Revert} {
		if err := l.Do(lab.NodeA, func() error {
			outcomes, err := step(file)
			for _, o := range outcomes {
				if !o.Done {
					t.Errorf("%v: %s", o.Change, o.Why)
				}
			}
			if len(outcomes) != len(changes) {
				t.Errorf("%+v", outcomes)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("something is still to undo")
	}
}
