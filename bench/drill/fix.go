package drill

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"onebeat/bench/fixpeers"
	"onebeat/bench/lab"
	"onebeat/bench/load"
	"onebeat/bench/scene"
)

// Clients of a drill.
const (
	ClientFIXP = "fixp" // onebeat's own load over UDP
	ClientFIX  = "fix"  // an initiator on QuickFIX/C++ over TCP
)

const (
	// fixReconnect is the client's ReconnectInterval, the shortest it knows.
	fixReconnect = time.Second
	fixHeartbeat = 5 * time.Second
	// fixAfter is what a run leaves the client to come back at most: it looks at its
	// clock once a second, and may have to try twice.
	fixAfter = 3*fixReconnect + time.Second
)

func fixStore(l *lab.Lab, lane int) string {
	return filepath.Join(l.RunDir, fmt.Sprintf("fix-client-%d", lane))
}

func fixHistory(l *lab.Lab, lane int) string {
	return filepath.Join(l.RunDir, fmt.Sprintf("fix-history-%d.jsonl", lane))
}

// startFIX starts a lane's client of another make.
func (r *run) startFIX(place string, l *laneRun) error {
	if err := os.MkdirAll(fixStore(r.lab, l.ID), 0o700); err != nil {
		return err
	}
	c := fixpeers.Client{
		At:      netip.AddrPortFrom(netip.AddrFrom4(lab.LaneAddress(l.ID)), scene.FIXPort),
		Version: r.o.FIXVersion, Sender: scene.FIXClient, Target: scene.FIXNode,
		StoreDir: fixStore(r.lab, l.ID), History: fixHistory(r.lab, l.ID), RatePerSecond: float64(r.o.RatePerSecond),
		Duration: r.o.Duration + r.courseMax() + fixAfter, Reconnect: fixReconnect, Heartbeat: fixHeartbeat,
	}
	var err error
	l.client, err = startProgram(r.lab, r.o, place, r.o.fixProgram.Path(), &l.out, c.Args()...)
	return err
}

// fixFlowing is how many records show that the client's orders flow again: none are
// made without them but a few.
const fixFlowing = 300

// awaitFIX waits until the clients are back, or for as long as one may take. The
// judge sees whether they were.
func (r *run) awaitFIX() error {
	deadline := time.Now().Add(fixAfter)
	for _, l := range r.lanes {
		for from := l.records(); l.records() < from+fixFlowing && time.Now().Before(deadline); {
			if err := r.rest(pollEvery); err != nil {
				return err
			}
		}
	}
	return nil
}

// collectFIX reads a lane's logs where the client speaks FIX.
func (r *run) collectFIX(l *laneRun) (*Logs, error) {
	var result fixpeers.Result
	if err := decode("the FIX client", l.out.Bytes(), &result); err != nil {
		return nil, err
	}
	logs := r.newLogs(l)
	var err error
	if logs.FIX, err = fixpeers.ReadHistory(fixHistory(r.lab, l.ID)); err != nil {
		return nil, err
	}
	if logs.FIX == nil {
		return nil, errors.New("the FIX client wrote no history")
	}
	logs.Orders = ordersOf(logs.FIX)
	return logs, r.collectNodes(l, logs)
}

// ordersOf are the orders of a history, in the order in which they were sent.
func ordersOf(events []fixpeers.Event) []load.Order {
	at := map[string]int{}
	var orders []load.Order
	for i := range events {
		e := &events[i]
		switch e.Event {
		case fixpeers.Order:
			k, known := at[e.ID]
			if !known {
				k = len(orders)
				at[e.ID] = k
				orders = append(orders, load.Order{ClOrdID: uint64(k + 1), IntendedNs: e.Ns, FirstSentNs: e.Ns})
			}
			orders[k].Sends++
		case fixpeers.Report:
			k, known := at[e.ID]
			if !known {
				continue
			}
			o := &orders[k]
			if o.Answers++; o.FirstAnswerNs == 0 && e.Exec != "" {
				o.FirstAnswerNs, o.ExecType = e.Ns, e.Exec[0]
			}
			if acknowledges(e) && e.Exec[0] == o.ExecType {
				o.Accepts++
			}
		}
	}
	return orders
}

// acknowledges is whether a report says for the first time that an order was taken.
func acknowledges(e *fixpeers.Event) bool {
	return e.Event == fixpeers.Report && (e.Exec == "0" || e.Exec == "A")
}
