package conn_test

import (
	"fmt"
	"net/netip"
	"time"

	"onebeat/engine/client"
	"onebeat/engine/client/conn"
	"onebeat/engine/fixp"
	"onebeat/engine/sbe"
)

// printer is a handler that prints answers.
type printer struct{}

func (printer) OnReport(_ *client.Answer, r *sbe.ExecutionReport) {
	fmt.Println("order", r.ClOrdID(), r.ExecType())
}
func (printer) OnReject(_ *client.Answer, r *sbe.Reject) {
	fmt.Println("order", r.ClOrdID(), "refused:", r.Reason())
}

// A client of two nodes that gives up after three attempts; nobody serves here.
func Example() {
	c, err := conn.Open(conn.Config{
		Client: client.Config{Session: sbe.UUID{1}, Key: fixp.NewKey("secret")},
		Hosts: []conn.Host{
			{Address: netip.MustParseAddrPort("127.0.0.1:9"), Timeout: 5 * time.Millisecond},
			{Address: netip.MustParseAddrPort("127.0.0.2:9"), Timeout: 5 * time.Millisecond},
		},
		Local: netip.MustParseAddrPort("127.0.0.1:0"),
		Connector: client.ConnectorConfig{
			Strategy: client.FatalAfter{Attempts: 3, Of: client.RoundRobin{}},
			Backoff:  client.Backoff{MinNs: 1_000_000, MaxNs: 2_000_000},
			OnChange: func(c client.Change) { fmt.Println(c.To, c.Host, c.Why) },
		},
	}, printer{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("ended:", c.Run(nil, nil))
	fmt.Println(c.Close())
	// Output:
	// connecting 0 started
	// connecting 1 timeout
	// resting 0 timeout
	// connecting 0 rested
	// failed 0 gave up
	// ended: failed
	// closed 0 by the user
	// <nil>
}

// nearest is a strategy of one's own: of three hosts the middle one, then any.
type nearest struct{}

// Next implements client.Strategy.
func (nearest) Next(s client.Search) (host int, ok bool) {
	if s.Failed == 0 {
		return 1, true
	}
	return (s.Last + 1) % s.Hosts, true
}

// A strategy of one's own decides which host is tried.
func Example_strategy() {
	c, err := client.NewConnector(client.ConnectorConfig{Strategy: nearest{}, TimeoutsNs: []int64{1000, 1000, 1000}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for nowNs := int64(1000); nowNs < 4000; nowNs += 1000 {
		host, _ := c.Poll(nowNs, &client.Look{})
		fmt.Println(host)
	}
	// Output:
	// 1
	// 2
	// 0
}
