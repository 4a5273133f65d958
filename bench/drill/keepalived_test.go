package drill

import (
	"os/exec"
	"testing"

	"onebeat/bench/lab/labtest"
)

// What others need is measured, or the report says how it could be.
func TestKeepalived(t *testing.T) {
	labtest.NeedRoot(t)
	o := &Options{}
	if err := o.Defaults(); err != nil {
		t.Fatal(err)
	}
	o.Log = t.Output()
	k, err := MeasureKeepalived(o, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("keepalived"); err != nil {
		if k.Installed || k.Install == "" {
			t.Errorf("keepalived is not installed, and the report says %+v", k)
		}
		return
	}
	// Three advertisements must be missed; and it must not take seconds.
	if !k.Installed || len(k.Outages) != 1 || k.MTTRNs < 20e6 || k.MTTRNs > 2e9 {
		t.Errorf("%+v", k)
	}
}
