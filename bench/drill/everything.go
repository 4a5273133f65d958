package drill

import (
	"errors"
	"fmt"
	"slices"
)

// etcdSlack is how many times longer a lane's budgets are beside an etcd member
// that starts: it takes both cores of a small machine for many milliseconds,
// and an engine that stands still for a hang budget is rightly replaced.
const etcdSlack = 4

// Everything plays all faults, each with the arbitration asked for or, where
// that does not survive it, with the first that does. A fault that cannot be
// played is one that failed: the others are played all the same.
func Everything(o *Options, stop <-chan struct{}) ([]Summary, error) {
	if err := o.Defaults(); err != nil {
		return nil, err
	}
	var all []Summary
	for i := range faults {
		f := &faults[i]
		if f.name == FaultNone || f.apart {
			continue
		}
		one := *o
		one.Fault = f.name
		if !slices.Contains(f.with, o.Arbitration) {
			one.Arbitration = f.with[0]
		}
		if one.Arbitration == Etcd && o.Arbitration != Etcd {
			one.Heartbeat, one.HangBudget = etcdSlack*o.Heartbeat, etcdSlack*o.HangBudget
		}
		s, err := All(&one, stop)
		if errors.Is(err, ErrStopped) {
			return all, err
		}
		if err != nil {
			s.OK = false
			s.Problems = append(s.Problems, err.Error())
			if o.Progress != nil {
				o.Progress(fmt.Sprintf("%s cannot be played: %v", f.name, err))
			}
		}
		all = append(all, s)
	}
	return all, nil
}

// Compare tells how many times longer keepalived's median outage is than
// onebeat's for the same fault, a host without power.
func (k *Keepalived) Compare(all []Summary) {
	for i := range all {
		if s := &all[i]; s.Fault == FaultPower && s.OutageNs.P50 > 0 {
			k.Ratio = float64(k.OutageNs.P50) / float64(s.OutageNs.P50)
		}
	}
}
