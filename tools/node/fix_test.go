package node

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"testing"
	"time"

	"onebeat/bench/lab"
	"onebeat/engine/fix/cases"
	"onebeat/engine/fix/convert"
	"onebeat/mirror/lane"
)

const fixPort = 9880

var fixAt = netip.AddrPortFrom(netip.AddrFrom4(lab.LaneIP), fixPort)

// fixLines are sections of a lane with FIX sessions.
func fixLines(session string) string {
	return fmt.Sprintf("[lane.fix]\nport = %d\n[[lane.fix.session]]\nname = \"desk\"\n%s\n", fixPort, session)
}

const fixDesk = "sender_comp_id = \"ONEBEAT\"\ntarget_comp_id = \"DESK\"\nheartbeat_max = \"60s\""

// fixClient is a FIX client that keeps its numbers over connections, as one with a
// store does.
type fixClient struct {
	w     *world
	place string
	conn  net.Conn

	mu       sync.Mutex
	nextOut  int
	nextIn   int
	loggedOn bool
	gone     bool
	sent     map[int]string      // orders, by their number
	acked    map[string][]string // ClOrdID -> ExecTypes, each message of the lane counted once
	resent   int
	dups     int
	err      error
}

func newFIXClient(w *world, place string) *fixClient {
	c := &fixClient{w: w, place: place, nextOut: 1, nextIn: 1, sent: map[int]string{}, acked: map[string][]string{}}
	w.t.Cleanup(c.close)
	return c
}

func (c *fixClient) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		_ = c.conn.Close()
	}
}

// connect logs on with the next number, again and again until it is let in.
func (c *fixClient) connect() {
	c.w.t.Helper()
	c.close()
	c.mu.Lock()
	c.loggedOn = false
	logon := c.nextOut
	c.nextOut++
	c.mu.Unlock()
	var next time.Time
	c.w.until("logged on by FIX", func() bool {
		c.mu.Lock()
		on, gone := c.loggedOn, c.conn == nil || c.gone
		c.mu.Unlock()
		if !on && gone && time.Now().After(next) {
			next = time.Now().Add(5 * time.Millisecond)
			conn, err := c.w.dialTCP(c.place, fixAt)
			if err != nil {
				return false
			}
			c.mu.Lock()
			c.conn, c.gone = conn, false
			c.nextOut = logon + 1 // nobody saw that Logon
			c.write(logon, "A", "98=0\x01108=30\x01", "")
			c.mu.Unlock()
			go c.read(conn)
		}
		return on
	})
}

// write sends one message; c.mu is held.
func (c *fixClient) write(seq int, kind, body, header string) {
	m := fmt.Sprintf("8=FIX.4.4\x0135=%s\x0134=%d\x01%s49=DESK\x0152=<TIME>\x0156=ONEBEAT\x01%s", kind, seq, header, body)
	_, _ = c.conn.Write(cases.Fill(m))
}

func (c *fixClient) order(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	body := fmt.Sprintf("11=%s\x0155=ONEB\x0154=1\x0160=20260101-00:00:00\x0138=1\x0140=2\x0144=10000\x0159=3\x01", id)
	c.sent[c.nextOut] = body
	c.write(c.nextOut, "D", body, "")
	c.nextOut++
}

func (c *fixClient) read(conn net.Conn) {
	r := bufio.NewReader(conn)
	for {
		m, err := cases.Read(r)
		c.mu.Lock()
		if c.conn != conn {
			c.mu.Unlock()
			return
		}
		if err != nil {
			c.gone = true
			c.mu.Unlock()
			return
		}
		c.take(m)
		c.mu.Unlock()
	}
}

// take is a client's side of the session's rules; c.mu is held.
func (c *fixClient) take(m []byte) {
	field := func(tag int) string { return string(convert.Find(m, tag)) }
	seq, _ := strconv.Atoi(field(34))
	kind, dup := field(35), field(43) == "Y"
	switch {
	case kind == "2":
		c.resend(field(7))
	case kind == "5":
		c.err = fmt.Errorf("Logout: %s", field(58))
	case kind == "A":
		c.loggedOn = true
	}
	if seq < c.nextIn {
		if !dup {
			c.err = fmt.Errorf("number %d, %d was next: %q", seq, c.nextIn, m)
		}
		c.dups++
		return
	}
	if seq > c.nextIn {
		if kind == "A" || !dup {
			// Everything from the gap on comes again, this message too.
			c.write(c.nextOut, "2", fmt.Sprintf("7=%d\x0116=0\x01", c.nextIn), "")
			c.nextOut++
		}
		return
	}
	c.nextIn++
	switch kind {
	case "4":
		c.nextIn, _ = strconv.Atoi(field(36))
	case "8":
		id := field(11)
		c.acked[id] = append(c.acked[id], field(150))
	case "3", "j", "9":
		c.err = fmt.Errorf("refused: %q", m)
	}
}

// resend answers a ResendRequest: orders again, all else is a gap.
func (c *fixClient) resend(from string) {
	begin, _ := strconv.Atoi(from)
	for n := begin; n < c.nextOut; n++ {
		if body, ok := c.sent[n]; ok {
			c.resent++
			c.write(n, "D", body, "43=Y\x01122=<TIME>\x01")
			continue
		}
		next := n + 1
		for ; next < c.nextOut && c.sent[next] == ""; next++ {
		}
		c.write(n, "4", fmt.Sprintf("36=%d\x01123=Y\x01", next), "43=Y\x01122=<TIME>\x01")
		n = next - 1
	}
}

// answered reports whether every order has its final report.
func (c *fixClient) answered() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		c.w.t.Fatal(c.err)
	}
	for _, body := range c.sent {
		e := c.acked[string(convert.Find([]byte(body), 11))]
		if len(e) == 0 || e[0] == "8" || e[len(e)-1] == "A" || e[len(e)-1] == "0" {
			return false
		}
	}
	return true
}

// checkOnce: each order was acknowledged once, and ended once.
func (c *fixClient) checkOnce() {
	c.w.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, e := range c.acked {
		pending, ended := 0, 0
		for _, x := range e {
			switch x {
			case "A":
				pending++
			case "4", "F":
				ended++
			}
		}
		if pending != 1 || ended != 1 {
			c.w.t.Errorf("order %s: reports %v", id, e)
		}
	}
}

// TestFIXGoesOnAtTheOtherNode: numbers continue on both sides, without a reset, and each
// order is acknowledged once.
func TestFIXGoesOnAtTheOtherNode(t *testing.T) {
	for name, change := range map[string]func(w *world, from string){
		"killed":   func(w *world, from string) { w.kill(from) },
		"hung":     func(w *world, from string) { w.frozen[from] = true },
		"handover": func(w *world, from string) { w.handOver(from, func(n *Node) error { return n.handover(0) }) },
	} {
		t.Run(name, func(t *testing.T) {
			w := steady(t, setting{app: "gateway", session: fixLines(fixDesk)})
			c := newFIXClient(w, lab.Client)
			c.connect()
			id := 0
			from, to := lab.NodeA, lab.NodeB
			for range 3 {
				for range 20 {
					id++
					c.order(fmt.Sprintf("ord-%04d", id))
					w.step()
				}
				for range 10 { // on their way when it happens
					id++
					c.order(fmt.Sprintf("ord-%04d", id))
				}
				change(w, from)
				w.untilState(to, lane.Active)
				c.connect()
				for range 5 {
					id++
					c.order(fmt.Sprintf("ord-%04d", id))
				}
				w.until("all FIX answers", c.answered)
				w.frozen[from] = false
				if name == "killed" {
					w.restart(from)
				}
				w.untilState(from, lane.Standby)
				from, to = to, from
			}
			c.checkOnce()
			w.orders(20)
			w.checkOnce()
			w.sameState()
			if n := w.laneCounts(from)["fix_resets"]; n != 0 {
				t.Errorf("%d resets", n)
			}
			t.Logf("%d orders, %d sent again by the client, %d by the lane", id, c.resent, c.dups)
		})
	}
}
