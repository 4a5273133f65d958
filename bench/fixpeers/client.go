package fixpeers

import (
	"fmt"
	"net/netip"
	"time"
)

// Client is what the program is told.
type Client struct {
	At             netip.AddrPort
	Version        string // BeginString; default FIX.4.4
	Sender, Target string
	StoreDir       string // its sequence numbers and messages; it goes on from there
	History        string // the file it writes
	Symbol         string // default ONEB
	Price          int64  // default 10000
	RatePerSecond  float64
	Duration       time.Duration
	// Reconnect is its ReconnectInterval, in whole seconds; Heartbeat its HeartBtInt.
	Reconnect, Heartbeat time.Duration
	First                int64 // ClOrdID of the first order; default 1
	User, Password       string
}

// Args are the program's arguments.
func (c *Client) Args() []string {
	args := []string{"host=" + c.At.Addr().String(), fmt.Sprintf("port=%d", c.At.Port()), "sender=" + c.Sender, "target=" + c.Target,
		"store=" + c.StoreDir, "history=" + c.History, fmt.Sprintf("rate=%g", c.RatePerSecond), fmt.Sprintf("seconds=%g", c.Duration.Seconds())}
	more := func(name, value string, given bool) {
		if given {
			args = append(args, name+"="+value)
		}
	}
	more("version", c.Version, c.Version != "")
	more("symbol", c.Symbol, c.Symbol != "")
	more("price", fmt.Sprint(c.Price), c.Price != 0)
	more("first", fmt.Sprint(c.First), c.First != 0)
	more("reconnect", fmt.Sprintf("%d", int(c.Reconnect.Seconds())), c.Reconnect != 0)
	more("heartbeat", fmt.Sprintf("%d", int(c.Heartbeat.Seconds())), c.Heartbeat != 0)
	more("user", c.User, c.User != "")
	more("password", c.Password, c.Password != "")
	return args
}

// Result is what the program prints at its end.
type Result struct {
	Sent       int64 `json:"sent"`
	Unanswered int64 `json:"unanswered"`
}
