package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"onebeat/bench/lab"
	"onebeat/engine/fix/convert"
	"onebeat/mirror/lane"
)

// TestFIXScheduleOfANode: at its end, by a clock in another time zone, a session gets a
// Logout; numbers begin anew with the next one, once, whichever node serves.
func TestFIXScheduleOfANode(t *testing.T) {
	clock := &wallClock{}
	const zone = "America/New_York"
	clock.set(t, "2026-03-06 16:59:50", zone) // a Friday; on Sunday their clocks go forward
	w := steadyUDP(t, setting{app: "gateway", calm: true, witness: true, wall: clock.now,
		session: fixLines(fixDesk + "\nlatency = \"0s\"\nstart = \"08:00:00\"\nend = \"17:00:00\"\ntime_zone = \"" + zone + "\"\ndays = [\"monday\", \"tuesday\", \"wednesday\", \"thursday\", \"friday\"]")})
	p := w.dialFIX(lab.NodeA, "DESK", nil)
	p.logon("", "34=1")
	p.rests("day-1")
	clock.set(t, "2026-03-06 17:00:01", zone)
	p.expect("5", "58=End of session")
	p.send("5", "")
	p.ends()
	closed := func(place, at string) {
		t.Helper()
		clock.set(t, at, zone)
		before := w.counters(place)["fix_tcp_out_of_schedule"]
		late := w.dialFIX(place, "DESK", nil)
		late.out = p.out
		late.send("A", "98=0|108=30|")
		late.ends()
		w.untilCounted(place, "fix_tcp_out_of_schedule", before+1)
	}
	closed(lab.NodeA, "2026-03-06 17:00:02")
	w.kill(lab.NodeA)
	w.untilState(lab.NodeB, lane.Active)
	closed(lab.NodeB, "2026-03-07 10:00:00") // Saturday
	closed(lab.NodeB, "2026-03-09 07:59:59")
	clock.set(t, "2026-03-09 08:00:00", zone)
	p = w.dialFIX(lab.NodeB, "DESK", nil)
	p.logon("", "34=1")
	p.order("day-1") // its order is still there: a schedule ends no orders
	p.await("8", "11=day-1", "150=8", "103=6")
	p.rests("day-2")
	if n := w.counters(lab.NodeB)["fix_resets"]; n != 1 {
		t.Errorf("%d resets", n)
	}
	// The session that began there is the same one back at the first node.
	w.restart(lab.NodeA)
	w.untilState(lab.NodeA, lane.Standby)
	clock.set(t, "2026-03-09 12:00:00", zone)
	w.giveLane(lab.NodeB, lab.NodeA)
	p = p.again(lab.NodeA)
	p.logon("")
	p.rests("day-3")
	if n := w.counters(lab.NodeA)["fix_resets"]; n != 1 {
		t.Errorf("%d resets", n)
	}
	w.sameState()
}

// TestNextExpectedOverAFailover: each side says by 789 what it lacks, and gets it
// without a ResendRequest: reports again as duplicates, orders that died with the node
// as new ones.
func TestNextExpectedOverAFailover(t *testing.T) {
	t.Run("sockets", func(t *testing.T) {
		nextExpected(t, steadyUDP(t, setting{app: "gateway", calm: true, witness: true, session: fixLines(fixDesk)}))
	})
	t.Run("lane address", func(t *testing.T) {
		nextExpected(t, steady(t, setting{app: "gateway", calm: true, session: fixLines(fixDesk)}))
	})
	t.Run("IPv6 lane address", func(t *testing.T) {
		nextExpected(t, steady(t, setting{app: "gateway", calm: true, ipv6: true, stack6: true, session: fixLines(fixDesk + "\nallow = [\"fd00::/64\"]")}))
	})
}

func nextExpected(t *testing.T, w *world) {
	p := w.dialFIX(lab.NodeA, "DESK", nil)
	p.logon("789=1|", "789=2", "34=1")
	p.rests("n-1")
	p.rests("n-2") // reports 2 to 5
	got := 3       // what the client's disk has of ours
	w.sameState()
	w.kill(lab.NodeA)
	lost := p.out
	p.out += 2 // n-3 and n-4 were written, and no node read them
	w.untilState(lab.NodeB, lane.Active)
	p = p.again(lab.NodeB)
	p.send("A", fmt.Sprintf("98=0|108=30|789=%d|", got+1))
	p.expect("A", fmt.Sprintf("789=%d", lost), "34=6")
	for n := got + 1; n < 6; n++ {
		m := p.expect("8", fmt.Sprintf("34=%d", n), "43=Y", "11=n-2")
		if fieldOf(m, 122) == "" {
			t.Errorf("no OrigSendingTime: %q", m)
		}
	}
	p.expect("4", "34=6", "36=7", "123=Y", "43=Y") // its Logon's own number
	for i := range 2 {
		p.sendAs(lost+i, "D", "43=Y|122=<TIME>|", fmt.Sprintf("11=n-%d|55=ONEB|54=1|60=<TIME>|38=2|40=2|44=9500|59=0|", 3+i))
	}
	p.sendAs(lost+2, "4", "43=Y|122=<TIME>|", fmt.Sprintf("36=%d|123=Y|", lost+3))
	for _, want := range [][]string{{"11=n-3", "150=0"}, {"11=n-4", "150=0"}} {
		p.awaitNoAsking("8", want...)
	}
	p.order("n-5")
	p.awaitNoAsking("8", "11=n-5", "150=0")
	if c := w.counters(lab.NodeB); c["fix_resets"] != 0 || c["fix_tcp_resent"] != 2 {
		t.Errorf("%d resets, %d sent again", c["fix_resets"], c["fix_tcp_resent"])
	}
	// Who says that it has more than was sent has another one's numbers.
	high := p.again(lab.NodeB)
	high.send("A", "98=0|108=30|789=99|")
	if m := high.expect("5"); !strings.Contains(fieldOf(m, 58), "789") {
		t.Errorf("%q", m)
	}
}

// awaitNoAsking is await where no ResendRequest may come.
func (p *fixPeer) awaitNoAsking(kind string, want ...string) {
	p.w.t.Helper()
	for {
		m := p.next()
		switch {
		case m == nil || has(m, "35=2"):
			p.w.t.Fatalf("%q instead of %s with %v", m, kind, want)
		case has(m, append([]string{"35=" + kind}, want...)...):
			return
		}
	}
}

// TestCancelOnDisconnectOfFIX: a failover is no disconnect, for who comes back within the
// window; a disconnect is one, also where the node dies in the middle of the window.
func TestCancelOnDisconnectOfFIX(t *testing.T) {
	w := steadyUDP(t, setting{app: "gateway", calm: true, witness: true, session: fixLines(fixDesk + "\ncancel_on_disconnect = \"1s\"")})
	open := func(place string) (n uint32) { return w.openOf(place, "desk") }
	p := w.dialFIX(lab.NodeA, "DESK", nil)
	p.logon("")
	for i := range 10 {
		p.rests(fmt.Sprint("c-", i))
	}
	w.kill(lab.NodeA)
	w.untilState(lab.NodeB, lane.Active)
	p = p.again(lab.NodeB)
	p.logon("")
	w.steps(1200 * time.Millisecond)
	if n := open(lab.NodeB); n != 10 {
		t.Fatalf("%d orders are open behind a failover", n)
	}
	w.restart(lab.NodeA)
	w.untilState(lab.NodeA, lane.Standby)
	_ = p.conn.Close()
	w.steps(200 * time.Millisecond)
	if n := open(lab.NodeB); n != 10 {
		t.Errorf("%d orders are open within the window", n)
	}
	w.kill(lab.NodeB)
	w.untilState(lab.NodeA, lane.Active)
	w.until("nothing open", func() bool { return open(lab.NodeA) == 0 })
	p = p.again(lab.NodeA)
	p.send("A", "98=0|108=30|")
	p.await("A")
	p.send("2", "7=1|16=0|")
	for i := range 10 {
		p.await("8", fmt.Sprint("11=c-", i), "150=4", "58=Cancelled because the session was lost")
	}
	p.rests("c-10")
}

// openOf is how many orders a session has open at a node.
func (w *world) openOf(place, session string) uint32 {
	w.t.Helper()
	for _, s := range w.sessionsOf(place) {
		if s.Name == session {
			return s.Orders
		}
	}
	w.t.Fatalf("no session %s", session)
	return 0
}

// TestThrottleAndDictionaryOfANode: what a session may send, and how fast, is its
// file's; another one's haste is nobody's delay.
func TestThrottleAndDictionaryOfANode(t *testing.T) {
	const odd = "9717=x|" // a tag that no dictionary has
	w := steadyUDP(t, setting{app: "gateway", calm: true, session: fixSection("", map[string]string{
		"HASTY":  "messages_per_second = 20\nburst = 5",
		"STRICT": "",
		"OWN":    "user_fields = true",
		"LOOSE":  "validate = false",
	})})
	peers := map[string]*fixPeer{}
	for _, name := range []string{"HASTY", "STRICT", "OWN", "LOOSE"} {
		peers[name] = w.dialFIX(lab.NodeA, name, nil)
		peers[name].logon("")
	}
	hasty, begun := peers["HASTY"], time.Now()
	for i := range 15 {
		hasty.order(fmt.Sprint("h-", i))
	}
	const order = "11=%s|55=ONEB|54=1|60=<TIME>|38=2|40=2|44=9500|59=0|"
	of := func(id string) string { return fmt.Sprintf(order, id) }
	strict, own, loose := peers["STRICT"], peers["OWN"], peers["LOOSE"]
	strict.send("D", of("s-1")+odd)
	strict.expect("3", "45=2", "371=9717", "372=D", "373=0", "58=Invalid tag number")
	strict.send("D", of("s-2")+"999=x|")
	strict.expect("3", "371=999", "373=0")
	strict.send("D", strings.Replace(of("s-3"), "60=<TIME>|", "", 1))
	strict.expect("3", "371=60", "373=1", "58=Required tag missing")
	strict.rests("s-4")
	own.send("D", of("o-1")+odd)
	own.await("8", "11=o-1", "150=0")
	own.send("D", of("o-2")+"999=x|")
	own.expect("3", "371=999", "373=0")
	loose.send("D", of("l-1")+odd+"999=x|")
	loose.await("8", "11=l-1", "150=0")
	others := time.Since(begun)
	for i := range 15 {
		hasty.await("8", fmt.Sprint("11=h-", i), "150=0")
	}
	if took := time.Since(begun); took < 400*time.Millisecond { // ten beyond the burst, 50 ms each
		t.Errorf("15 orders of a session that may send 20 in a second took %v", took)
	} else {
		t.Logf("the others were answered in %v, the hasty one in %v", others, took)
	}
	if n := w.counters(lab.NodeA)["fix_tcp_throttled"]; n == 0 {
		t.Error("the throttle is not counted")
	}
}

// TestMessageLogOfANode: all that came and went is in a file of the day, passwords are
// not; a disk that is full stops nobody.
func TestMessageLogOfANode(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "password")
	if err := os.WriteFile(secret, []byte("correct horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	full := filepath.Join(dir, "full")
	if err := os.Mkdir(full, 0o700); err != nil {
		t.Fatal(err)
	}
	for day := range 3 { // whenever this runs
		name := "messages-" + time.Now().UTC().AddDate(0, 0, day-1).Format("20060102") + ".log"
		if err := os.Symlink("/dev/full", filepath.Join(full, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ name, dir string }{{"written", filepath.Join(dir, "log")}, {"full", full}} {
		w := steadyUDP(t, setting{app: "gateway", calm: true, noPeer: true, session: fixSection(fmt.Sprintf("message_log = %q", c.dir),
			map[string]string{"DESK": fmt.Sprintf("username = \"trader\"\npassword_file = %q", secret)})})
		p := w.dialFIX(lab.NodeA, "DESK", nil)
		p.logon("553=trader|554=correct horse|")
		for i := range 20 {
			p.rests(fmt.Sprint("m-", i))
		}
		p.send("2", "7=2|16=2|")
		p.await("8", "34=2", "43=Y")
		if c.name == "full" {
			w.until("what is not written is counted", func() bool { return w.counters(lab.NodeA)["fix_tcp_log_dropped"] > 0 })
			continue
		}
		p.send("5", "")
		p.await("5")
		if n := w.counters(lab.NodeA)["fix_tcp_log_dropped"]; n != 0 {
			t.Errorf("%d messages are missing", n)
		}
		w.kill(lab.NodeA)
		checkMessageLog(t, c.dir, p.out-1)
	}
}

// checkMessageLog reads what TestMessageLogOfANode wrote; in is how many messages came.
func checkMessageLog(t *testing.T, dir string, in int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "messages-*.log"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	text := ""
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		text += string(b)
	}
	if strings.Contains(text, "horse") || !strings.Contains(text, "\x01554=***\x01") {
		t.Error("a password is in the log, or no Logon")
	}
	came, went := map[int]bool{}, map[int]bool{}
	again := 0
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		part := strings.SplitN(line, " ", 4)
		if len(part) != 4 {
			t.Fatalf("%q", line)
		}
		m := []byte(strings.TrimPrefix(part[3], " "))
		seq, err := strconv.Atoi(string(convert.Find(m, 34)))
		if err != nil || part[1] != "0" {
			t.Fatalf("%q", line)
		}
		switch {
		case part[2] == "in":
			came[seq] = true
		case has(m, "43=Y"):
			again++
		default:
			went[seq] = true
		}
	}
	if len(came) != in || len(went) != 42 || again != 1 { // Logon, two reports of each order, Logout
		t.Errorf("%d of %d came, %d went, %d again", len(came), in, len(went), again)
	}
}
