// Command example sends a few orders to a lane and prints what becomes of them:
//
//	go run ./engine/client/example --host 10.10.0.1:9000 --host 10.10.0.2:9000 --local 10.10.0.10:0 \
//		--session 6f9f0a52-5d1a-4d3f-9a34-0d6c5e9f1a01 --key client-1-secret --orders 10
//
// With --interface it speaks AF_XDP to the one lane address that --host then is.
package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"onebeat/engine/client"
	"onebeat/engine/client/conn"
	"onebeat/engine/fixp"
	"onebeat/engine/sbe"
)

// options are what the command line says.
type options struct {
	session, key, local, nic string
	strategy                 string
	attempts, orders         int
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "example:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	var o options
	var hosts []string
	f := pflag.NewFlagSet("example", pflag.ContinueOnError)
	f.StringArrayVar(&hosts, "host", nil, "address:port of a node; several are tried as --strategy says")
	f.StringVar(&o.local, "local", "127.0.0.1:0", "own address:port")
	f.StringVar(&o.nic, "interface", "", "AF_XDP on this NIC, to one lane address")
	f.StringVar(&o.session, "session", "", "session id, a UUID of the node's configuration")
	f.StringVar(&o.key, "key", "", "the session's key")
	f.StringVar(&o.strategy, "strategy", "primary-first", "primary-first or round-robin")
	f.IntVar(&o.attempts, "attempts", 0, "give up after so many attempts in a row; 0: never")
	f.IntVar(&o.orders, "orders", 10, "how many orders to send")
	if err := f.Parse(args); err != nil {
		return err
	}
	cfg, err := config(&o, hosts)
	if err != nil {
		return err
	}
	d := &desk{orders: o.orders}
	c, err := conn.Open(cfg, d)
	if err != nil {
		return err
	}
	d.c, d.nextID = c.Client(), uint64(time.Now().Unix())<<16
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt)
	end := make(chan struct{})
	go func() { <-stop; close(end) }()
	state := c.Run(end, d.each)
	fmt.Printf("%v: %+v\n", state, c.Client().Stats())
	err = c.Close()
	if state == client.Failed {
		return errors.Join(fmt.Errorf("no session: the server last said %v", c.Client().Code()), err)
	}
	return err
}

func config(o *options, hosts []string) (cfg conn.Config, err error) {
	id, err := hex.DecodeString(strings.ReplaceAll(o.session, "-", ""))
	if err != nil || len(id) != len(sbe.UUID{}) {
		return cfg, fmt.Errorf("--session %q is not a UUID", o.session)
	}
	cfg.Client = client.Config{Session: sbe.UUID(id), Key: fixp.NewKey(o.key)}
	if cfg.Local, err = netip.ParseAddrPort(o.local); err != nil {
		return cfg, fmt.Errorf("--local: %w", err)
	}
	if cfg.Interface = o.nic; o.nic != "" {
		cfg.Local = netip.AddrPort{}
	}
	for _, h := range hosts {
		a, err := netip.ParseAddrPort(h)
		if err != nil {
			return cfg, fmt.Errorf("--host: %w", err)
		}
		cfg.Hosts = append(cfg.Hosts, conn.Host{Address: a, Timeout: time.Second})
	}
	var s client.Strategy = client.PrimaryFirst{}
	if o.strategy == "round-robin" {
		s = client.RoundRobin{}
	}
	if o.attempts > 0 {
		s = client.FatalAfter{Attempts: o.attempts, Of: s}
	}
	cfg.Connector = client.ConnectorConfig{Strategy: s,
		Backoff: client.Backoff{MinNs: 10_000_000, MaxNs: 2_000_000_000},
		Breaker: client.Breaker{Failures: 5, OpenNs: 5_000_000_000},
		OnChange: func(c client.Change) {
			fmt.Printf("%v -> %v, host %d: %v, the server said %v\n", c.From, c.To, c.Host, c.Why, c.Code)
		}}
	return cfg, nil
}

// desk sends its orders, one a cycle, and ends the session when all are answered.
type desk struct {
	c      *client.Client
	orders int
	nextID uint64
}

func (d *desk) each(nowNs int64) {
	if !d.c.Ready() {
		return
	}
	if d.orders == 0 {
		if d.c.Unanswered() == 0 {
			d.c.Finish()
		}
		return
	}
	d.nextID++
	if d.c.SendOrder(&client.Order{ClOrdID: d.nextID, PriceTicks: 10_000, SymbolID: 1, QtyLots: 1, Account: 1,
		Side: sbe.SideBuy, OrdType: sbe.OrdTypeLimit, TimeInForce: sbe.TimeInForceDay}, nowNs) {
		d.orders--
	}
}

// OnReport implements client.Handler.
func (d *desk) OnReport(a *client.Answer, r *sbe.ExecutionReport) {
	fmt.Printf("order %d: %v, %d of %d done", r.ClOrdID(), r.ExecType(), r.CumQtyLots(), r.OrderQtyLots())
	if a.First {
		fmt.Printf(", after %v", time.Duration(a.NowNs-a.SentNs))
	}
	fmt.Println()
}

// OnReject implements client.Handler.
func (d *desk) OnReject(_ *client.Answer, r *sbe.Reject) {
	fmt.Printf("order %d refused: %v (%d, limit %d)\n", r.ClOrdID(), r.Reason(), r.Value(), r.Limit())
}

// OnRefused implements client.Refuser: an order beyond the session's rate, or
// that nobody can hold, is over.
func (d *desk) OnRefused(clOrdID uint64, _ uint16, code sbe.SessionCode) {
	fmt.Printf("order %d not taken: %v\n", clOrdID, code)
}
