package node

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"onebeat/bench/lab"
	"onebeat/engine/fix/cases"
	"onebeat/engine/fix/convert"
	"onebeat/tools/control"
)

// fixPeer is one connection of a FIX client, whose every message the test writes and
// reads; the world is stepped meanwhile.
type fixPeer struct {
	w       *world
	conn    net.Conn
	version string
	target  string // its CompID; ours is ONEBEAT
	out     int    // next number
	got     chan []byte
}

// dialFIX connects to a node as a client called target, at the lane's address or, without
// kernel programs, at the node's.
func (w *world) dialFIX(place, target string, secure *tls.Config) *fixPeer {
	w.t.Helper()
	p := &fixPeer{w: w, version: "FIX.4.4", target: target, out: 1, got: make(chan []byte, 1024)}
	at := w.tcpAt(fixPort)
	if w.lab == nil {
		at = w.nodes[place].lanes[0].tcp[0].Addr().(*net.TCPAddr).AddrPort()
	}
	w.until("connected", func() (connected bool) {
		conn, err := w.dialTCP(lab.Client, at)
		p.conn = conn
		return err == nil
	})
	if secure != nil {
		p.conn = tls.Client(p.conn, secure)
	}
	w.t.Cleanup(func() { p.conn.Close() })
	go p.read()
	return p
}

// read ends with the connection. A client of TLS shakes hands in here.
func (p *fixPeer) read() {
	defer close(p.got)
	r := bufio.NewReader(p.conn)
	for {
		m, err := cases.Read(r)
		if err != nil {
			return
		}
		p.got <- m
	}
}

// fields are those of a test's text, where | stands between them.
func fields(body string) string { return strings.ReplaceAll(body, "|", "\x01") }

// sendAs writes a message of a number; header are fields behind MsgSeqNum.
func (p *fixPeer) sendAs(seq int, kind, header, body string) {
	m := fmt.Sprintf("8=%s\x0135=%s\x0134=%d\x01%s49=%s\x0152=<TIME>\x0156=ONEBEAT\x01%s", p.version, kind, seq, fields(header), p.target, fields(body))
	_, _ = p.conn.Write(cases.Fill(m))
}

func (p *fixPeer) send(kind, body string) {
	p.sendAs(p.out, kind, "", body)
	p.out++
}

// next is the next message; nil: the connection ended.
func (p *fixPeer) next() (m []byte) {
	p.w.t.Helper()
	p.w.until("a FIX message or the end", func() bool {
		select {
		case m = <-p.got:
			return true
		default:
			return false
		}
	})
	return m
}

func fieldOf(m []byte, tag int) string { return string(convert.Find(m, tag)) }

// has reports whether a message has fields, like "103=3".
func has(m []byte, want ...string) bool {
	for _, f := range want {
		if !strings.Contains(string(m), "\x01"+f+"\x01") {
			return false
		}
	}
	return true
}

// expect takes the next message, which must be of a type and have fields.
func (p *fixPeer) expect(kind string, want ...string) []byte {
	p.w.t.Helper()
	m := p.next()
	if !has(m, append([]string{"35=" + kind}, want...)...) {
		p.w.t.Fatalf("%s got %q, not %s with %v%s", p.target, m, kind, want, p.w.describe())
	}
	return m
}

// await leaves messages out until one is of a type and has fields.
func (p *fixPeer) await(kind string, want ...string) []byte {
	p.w.t.Helper()
	var seen []string
	for {
		m := p.next()
		if m == nil {
			p.w.t.Fatalf("%s: the connection ended before %s with %v, behind %q%s", p.target, kind, want, seen, p.w.describe())
		}
		if has(m, append([]string{"35=" + kind}, want...)...) {
			return m
		}
		seen = append(seen, string(m))
	}
}

// ends waits for the end of the connection, before which nothing may come.
func (p *fixPeer) ends() {
	p.w.t.Helper()
	if m := p.next(); m != nil {
		p.w.t.Fatalf("%s got %q where the end was expected", p.target, m)
	}
}

// logon is let in with the next number; more are fields behind HeartBtInt.
func (p *fixPeer) logon(more string, want ...string) []byte {
	p.w.t.Helper()
	p.send("A", "98=0|108=30|"+more)
	return p.expect("A", want...)
}

// order sends an order at a price nothing trades at, or as changed: fields that come
// instead of its own.
func (p *fixPeer) order(id string, change ...string) {
	of := map[string]string{"55": "ONEB", "54": "1", "38": "2", "40": "2", "44": "9500", "59": "0"}
	for _, c := range change {
		tag, value, _ := strings.Cut(c, "=")
		of[tag] = value
	}
	body := "11=" + id + "|"
	if p.version == "FIX.4.2" {
		of["21"] = "1" // asks for it
	}
	for _, tag := range []string{"1", "21", "55", "54", "60", "38", "40", "44", "59"} {
		if tag == "60" {
			body += "60=<TIME>|"
		} else if v := of[tag]; v != "" {
			body += tag + "=" + v + "|"
		}
	}
	p.send("D", body)
}

// rests sends an order and waits until the venue has it.
func (p *fixPeer) rests(id string, change ...string) {
	p.w.t.Helper()
	p.order(id, change...)
	p.await("8", "11="+id, "150=0")
}

// refused sends an order and waits for its refusal.
func (p *fixPeer) refused(id, reason, text string, change ...string) {
	p.w.t.Helper()
	p.order(id, change...)
	m := p.await("8", "11="+id)
	if p.version == "FIX.4.2" && reason == "99" {
		reason = "0" // "broker option": it knows no other
	}
	if !has(m, "150=8", "39=8", "103="+reason, "58="+text) {
		p.w.t.Errorf("%s %v: %q", id, change, m)
	}
}

// counters are those that `onebeat status --json` prints.
func (w *world) counters(place string) map[string]uint64 {
	w.t.Helper()
	return w.statusOf(place).Counters
}

func (w *world) statusOf(place string) (s control.LaneStatus) {
	w.t.Helper()
	w.beside(func() { s = w.nodes[place].laneStatus(w.nodes[place].lanes[0]) })
	return s
}

// untilCounted waits for a counter.
func (w *world) untilCounted(place, name string, n uint64) {
	w.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; w.steps(5 * time.Millisecond) {
		if got := w.counters(place)[name]; got >= n {
			if got > n {
				w.t.Errorf("%s is %d, not %d", name, got, n)
			}
			return
		} else if time.Now().After(deadline) {
			w.t.Fatalf("%s is %d, not %d%s", name, got, n, w.describe())
		}
	}
}

// wallClock is one that tests set.
type wallClock struct{ ns atomic.Int64 }

func (c *wallClock) set(t *testing.T, text, zone string) {
	t.Helper()
	where, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	at, err := time.ParseInLocation(time.DateTime, text, where)
	if err != nil {
		t.Fatal(err)
	}
	c.ns.Store(at.UnixNano())
}

func (c *wallClock) now() time.Time { return time.Unix(0, c.ns.Load()) }
