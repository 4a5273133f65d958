package load

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"onebeat/engine/fixp"
	"onebeat/engine/sbe"
	"onebeat/xdp/frame"
)

const maxVLAN = 4094

// Transports of the load client.
const (
	TransportXDP = "xdp"
	TransportUDP = "udp"
)

// Idle strategies of the load client.
const (
	IdleSpin  = "spin"  // a core of its own
	IdleYield = "yield" // shares a core with others that yield
	IdleSleep = "sleep" // sleeps until the next order is due or a frame arrives
)

// ErrOptions is wrapped by every refusal of options.
var ErrOptions = errors.New("load options")

// maxOrders bounds the order log: 64 bytes each are kept in memory.
const maxOrders = 50_000_000

// Options of a run.
type Options struct {
	Transport string           // default xdp
	Interface string           // transport xdp
	Queue     int              // transport xdp
	VLAN      frame.VLAN       // transport xdp: tag of the order network; 0: none
	Local     netip.AddrPort   // address to send from; xdp: default the NIC's
	Targets   []netip.AddrPort // the lane; transport udp: of every node, tried in turn
	Session   sbe.UUID
	Key       fixp.Key

	RatePerSecond int
	Duration      time.Duration
	Drain         time.Duration // how long unanswered orders may be waited for at the end
	Connect       time.Duration // how long the session may take to come up
	Resend        time.Duration // after how long an unanswered order is sent again

	FirstClOrdID uint64 // 0: made of the wall clock
	SymbolID     uint32
	PriceTicks   int64
	QtyLots      uint32

	Mark time.Duration // splits the latencies; 0: no split
	Idle string        // default sleep
	// Progress is called once a second from a goroutine of its own.
	Progress func(Progress)
}

// Progress is a look at a running load.
type Progress struct {
	Elapsed   time.Duration
	Due, Sent int64
	Answered  int64
}

func (o *Options) defaults() error {
	setDefault(&o.Transport, TransportXDP)
	setDefault(&o.Idle, IdleSleep)
	setDefault(&o.Drain, 5*time.Second)
	setDefault(&o.Connect, 10*time.Second)
	setDefault(&o.Resend, 5*time.Millisecond)
	setDefault(&o.SymbolID, 1)
	setDefault(&o.PriceTicks, 10_000)
	setDefault(&o.QtyLots, 1)
	// ClOrdIDs must rise over runs against one lane: 65,536 a second of wall
	// time are left to every run, and 48 bits last beyond the year 2100.
	setDefault(&o.FirstClOrdID, uint64(time.Now().Unix())<<16)

	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	switch o.Transport {
	case TransportXDP:
		if o.VLAN > maxVLAN {
			bad("VLAN %d: its number is from 1 to %d", o.VLAN, maxVLAN)
		}
		if o.Interface == "" {
			bad("no interface: name the NIC the client sends from")
		}
		if len(o.Targets) != 1 {
			bad("%d targets: with xdp give the lane address, one address:port", len(o.Targets))
		}
	case TransportUDP:
		if o.VLAN != 0 {
			bad("a VLAN has no use with udp: send from an address of a VLAN interface")
		}
		if !o.Local.Addr().IsValid() {
			bad("no local address: with udp give the address to send from")
		}
		if len(o.Targets) == 0 {
			bad("no target: with udp give the address:port of every node")
		}
	default:
		bad("transport %q is not known: use xdp or udp", o.Transport)
	}
	for _, t := range o.Targets {
		if local := o.Local.Addr(); local.IsValid() && local.Unmap().Is4() != t.Addr().Unmap().Is4() {
			bad("%v is of another family than %v: send from an address of the target's", local, t.Addr())
		}
	}
	switch o.Idle {
	case IdleSpin, IdleYield, IdleSleep:
	default:
		bad("idle %q is not known: use spin, yield or sleep", o.Idle)
	}
	if o.RatePerSecond < 1 || o.RatePerSecond > 5_000_000 {
		bad("rate %d is out of range: use 1 to 5000000 orders per second", o.RatePerSecond)
	}
	if o.Duration <= 0 {
		bad("duration %v is not positive", o.Duration)
	}
	if n := o.orderCount(); n < 1 || n > maxOrders {
		bad("%d orders: use a rate and a duration that make 1 to %d", n, maxOrders)
	}
	if len(errs) > 0 {
		return fmt.Errorf("%w: %w", ErrOptions, errors.Join(errs...))
	}
	return nil
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

func (o *Options) orderCount() int64 {
	if o.RatePerSecond < 1 || o.Duration > 24*time.Hour {
		return 0
	}
	return int64(o.Duration.Seconds() * float64(o.RatePerSecond))
}
