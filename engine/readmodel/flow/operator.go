package flow

import (
	"onebeat/engine/gateway"
	"onebeat/engine/operator"
)

// command makes what an operator says to a gateway.
func (f *Flow) command() []byte {
	c := operator.New(operator.RiskSet)
	switch n := f.r.IntN(12); {
	case n < 2:
		c.Kind = operator.Kill
		f.scope(&c)
	case n < 7: // oftener than they are killed
		c.Kind = operator.KillRelease
		f.scope(&c)
	case n < 9:
		c.What, c.Value = uint32(gateway.LimitSelfMatch), f.r.Int64N(3)
	case n < 10:
		c.What, c.Value = uint32(gateway.LimitQty), 20+f.r.Int64N(10)
		f.scope(&c)
	default:
		c.Kind = operator.OrderCancel
		if len(f.recent) > 0 {
			about := f.recent[f.r.IntN(len(f.recent))]
			c.Session, c.Order = about.session, about.clOrdID
		}
	}
	c.UnixNs, c.Who = f.timeNs, []byte("jane")
	return append([]byte(nil), c.Put(f.payload[:operator.MaxBytes])...)
}

// scope names a session, an account or nobody.
func (f *Flow) scope(c *operator.Command) {
	switch f.r.IntN(3) {
	case 0:
		c.Session = f.r.Uint32N(uint32(f.shape.Sessions))
	case 1:
		c.Account = f.r.Uint32N(uint32(f.shape.Accounts))
	}
}
