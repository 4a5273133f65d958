package fix

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	mrand "math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"onebeat/engine/fix/cases"
	"onebeat/engine/fix/convert"
)

// talker is a client of FIX 4.4 that knows no rules.
type talker struct {
	t testing.TB
	net.Conn
	r      *bufio.Reader
	target string
	seq    int
}

func dial(t testing.TB, address, as string) *talker {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &talker{t: t, Conn: c, r: bufio.NewReader(c), target: as, seq: 1}
}

// send writes a message with the next number.
func (c *talker) send(kind, body string) {
	c.sendAs(fmt.Sprint(c.seq), kind, body)
	c.seq++
}

func (c *talker) sendAs(seq, kind, body string) {
	m := fmt.Sprintf("8=FIX.4.4|35=%s|34=%s|49=%s|52=<TIME>|56=ISLD|%s", kind, seq, c.target, body)
	_, _ = c.Write(cases.Fill(strings.ReplaceAll(m, "|", "\x01")))
}

// read returns the next message, "" at the end of the connection.
func (c *talker) read() string {
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	m, err := cases.Read(c.r)
	if err != nil {
		if e, ok := err.(net.Error); ok && e.Timeout() {
			c.t.Error("neither a message nor an end")
		}
		return ""
	}
	return string(m)
}

func (c *talker) expect(kind string) string {
	c.t.Helper()
	m := c.read()
	if got := string(convert.Find([]byte(m), 35)); got != kind {
		c.t.Fatalf("%q where a %s was expected", m, kind)
	}
	return m
}

func (c *talker) logon(more string) {
	c.t.Helper()
	c.send("A", "98=0|108=30|"+more)
	c.expect("A")
}

// works: an order is answered.
func (c *talker) works() {
	c.t.Helper()
	c.send("D", fmt.Sprintf("11=o%d|55=ONEB|54=1|60=<TIME>|38=5|40=2|44=100.25|", c.seq))
	if m := c.expect("8"); !strings.Contains(m, "\x0144=100.25\x01") {
		c.t.Fatal(m)
	}
}

// ends: nothing comes any more, not even a word.
func (c *talker) ends() {
	c.t.Helper()
	if m := c.read(); m != "" {
		c.t.Fatalf("a stranger hears %q", m)
	}
}

func twoSessions(t testing.TB) []Session {
	return []Session{testSession(t, convert.FIX44, "GOOD"), testSession(t, convert.FIX44, "BAD")}
}

func TestStrangersGetNothing(t *testing.T) {
	s := twoSessions(t)
	s[1].Username, s[1].Password = "desk", "secret"
	s[1].Allowed = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	elsewhere := testSession(t, convert.FIX44, "FAR")
	elsewhere.Allowed = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	a, l, address := serve(t, Config{Sessions: append(s, elsewhere), LogonTimeout: 500 * time.Millisecond})
	good := dial(t, address, "GOOD")
	good.logon("")
	logon := func(as, more string) func(*talker) {
		return func(c *talker) { c.target = as; c.send("A", "98=0|108=30|"+more) }
	}
	raw := func(s string) func(*talker) {
		return func(c *talker) { _, _ = c.Write([]byte(strings.ReplaceAll(s, "|", "\x01"))) }
	}
	for name, attack := range map[string]struct {
		do    func(*talker)
		count Counter
	}{
		"no FIX":         {raw("GET / HTTP/1.1\r\n\r\n"), CountGarbage},
		"zeros":          {raw(strings.Repeat("\x00", 5000)), CountGarbage},
		"no Logon":       {func(c *talker) { c.send("0", "") }, CountGarbage},
		"checksum":       {raw("8=FIX.4.4|9=5|35=A|10=000|"), CountGarbage},
		"length":         {raw("8=FIX.4.4|9=99999999|35=A|34=1|"), CountGarbage},
		"no number":      {raw("8=FIX.4.4|9=xyz|35=A|34=1|"), CountGarbage},
		"half a message": {raw("8=FIX.4.4|9=100|35=A|34=1|"), CountLogonTimeout},
		"nothing":        {raw(""), CountLogonTimeout},
		"unknown":        {logon("WHO", ""), CountUnknownSession},
		"no password":    {logon("BAD", ""), CountCredentials},
		"wrong password": {logon("BAD", "553=desk|554=secre|"), CountCredentials},
		"wrong name":     {logon("BAD", "553=desq|554=secret|"), CountCredentials},
		"wrong address":  {logon("FAR", ""), CountWrongAddress},
		"twice":          {logon("GOOD", ""), CountLoggedOnAlready},
		"bad time": {func(c *talker) {
			c.target = "BAD"
			_, _ = c.Write(cases.Fill("8=FIX.4.4\x0135=A\x0134=1\x0149=BAD\x0152=20200101-00:00:00\x0156=ISLD\x0198=0\x01108=30\x01553=desk\x01554=secret\x01"))
		}, CountLogonsRefused},
		"byte by byte, slow": {func(c *talker) {
			for range 40 {
				_, _ = c.Write([]byte("8"))
				time.Sleep(20 * time.Millisecond)
			}
		}, CountGarbage},
	} {
		before := a.Counts.Of(attack.count)
		c := dial(t, address, "BAD")
		attack.do(c)
		c.ends()
		for deadline := time.Now().Add(5 * time.Second); a.Counts.Of(attack.count) == before && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		}
		if a.Counts.Of(attack.count) == before {
			t.Errorf("%s: not counted as %s", name, counterNames[attack.count])
		}
		good.works()
	}
	l.stop()
	if x := l.store.State(1); x.NextIn != 1 || x.NextOut != 1 {
		t.Errorf("strangers used up numbers: %d and %d", x.NextIn, x.NextOut)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	a, _, address := serve(t, Config{Sessions: twoSessions(t), PendingMax: 30, PerAddressMax: 25, ConnectionsMax: 40, LogonTimeout: 10 * time.Second})
	good := dial(t, address, "GOOD")
	good.logon("")
	var silent []net.Conn
	for range 200 {
		if c, err := net.Dial("tcp", address); err == nil { // else it was reset at once
			silent = append(silent, c)
		}
	}
	good.works()
	for deadline := time.Now().Add(5 * time.Second); a.Counts.Of(CountConnections) < 201 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
	}
	if n := a.Counts.Of(CountTooManyOfAddress); n != 175 {
		t.Errorf("%d of 200 silent connections were reset", n)
	}
	for _, c := range silent {
		_ = c.Close()
	}
	for deadline := time.Now().Add(5 * time.Second); len(a.all()) > 1 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
	}
	next := dial(t, address, "BAD")
	next.logon("")
	next.works()
	good.works()
}

func TestSequenceAttacks(t *testing.T) {
	_, l, address := serve(t, Config{Sessions: twoSessions(t)})
	good := dial(t, address, "GOOD")
	good.logon("")
	for name, attack := range map[string]func(c *talker){
		"number 0":        func(c *talker) { c.sendAs("0", "0", "") },
		"negative":        func(c *talker) { c.sendAs("-5", "0", "") },
		"no number":       func(c *talker) { c.sendAs("", "0", "") },
		"beyond 64 bits":  func(c *talker) { c.sendAs("99999999999999999999999", "0", "") },
		"far ahead":       func(c *talker) { c.sendAs("9007199254740990", "0", "") },
		"reset beyond":    func(c *talker) { c.sendAs("2", "4", "36=9223372036854775807|") },
		"reset to 0":      func(c *talker) { c.sendAs("2", "4", "36=0|") },
		"gap fill back":   func(c *talker) { c.sendAs("2", "4", "36=1|123=Y|") },
		"resend of all":   func(c *talker) { c.sendAs("2", "2", "7=1|16=9999999|") },
		"resend of none":  func(c *talker) { c.sendAs("2", "2", "7=9999999|16=0|") },
		"resend reversed": func(c *talker) { c.sendAs("2", "2", "7=1|16=-1|") },
		"resends": func(c *talker) {
			for i := range 200 {
				c.sendAs(fmt.Sprint(2+i), "2", "7=1|16=0|")
			}
		},
		"gaps": func(c *talker) {
			for i := range 6000 {
				c.sendAs(fmt.Sprint(10+2*i), "0", "")
			}
		},
	} {
		c := dial(t, address, "BAD")
		c.sendAs("1", "A", "98=0|108=30|141=Y|")
		c.expect("A")
		attack(c)
		good.works()
		_ = c.Close()
		_ = name
	}
	good.works()
	l.stop()
	if x := l.store.State(1); x.NextIn > 1<<53 {
		t.Errorf("next number %d", x.NextIn)
	}
}

// TestNothingLeavesBeforeItsRelease: neither a report nor what is sent again.
func TestNothingLeavesBeforeItsRelease(t *testing.T) {
	_, l, address := serve(t, Config{Sessions: twoSessions(t)})
	c := dial(t, address, "GOOD")
	c.logon("")
	c.works()
	l.heldBack.Store(true)
	c.send("D", "11=held|55=ONEB|54=1|60=<TIME>|38=5|40=2|44=100.25|")
	c.send("2", "7=1|16=0|")
	_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if m, err := cases.Read(c.r); err == nil {
		t.Fatalf("%q left before its release", m)
	}
	l.heldBack.Store(false)
	c.expect("4") // what is sent again comes first, what is new behind it
	if m := c.expect("8"); !strings.Contains(m, "\x0143=Y\x01") {
		t.Fatal(m)
	}
	if m := c.expect("8"); !strings.Contains(m, "\x0111=held\x01") || strings.Contains(m, "\x0143=Y\x01") {
		t.Fatal(m)
	}
}

// TestRefusedClientsGo: while the lane refuses, connections end and none begins; what was
// not taken by then never is, and its number is free.
func TestRefusedClientsGo(t *testing.T) {
	a, l, address := serve(t, Config{Sessions: twoSessions(t)})
	c := dial(t, address, "GOOD")
	c.logon("")
	c.works()
	l.stuck.Store(true)
	c.send("D", "11=refused|55=ONEB|54=1|60=<TIME>|38=5|40=2|44=100.25|")
	time.Sleep(20 * time.Millisecond)
	l.refusing.Store(true)
	c.ends()
	for a.Counts.Of(CountRefusing) == 0 {
		// Its end may be faster than its beginning: connect(2) tells of a reset then.
		if nc, err := net.Dial("tcp", address); err == nil {
			_, _ = nc.Read(make([]byte, 1))
			_ = nc.Close()
		}
	}
	l.refusing.Store(false)
	l.stuck.Store(false)
	for a.port.ServingClients() == 0 {
		time.Sleep(time.Millisecond)
	}
	again := dial(t, address, "GOOD")
	again.seq = c.seq - 1 // the refused order's number
	again.logon("")
	again.works()
	l.stop()
	for _, r := range l.records {
		if strings.Contains(string(r.Payload), "refused") {
			t.Error("a refused order was taken")
		}
	}
}

func TestThrottleLosesNothing(t *testing.T) {
	s := twoSessions(t)
	s[0].Rate, s[0].Burst = 100, 10
	a, _, address := serve(t, Config{Sessions: s})
	c := dial(t, address, "GOOD")
	c.logon("")
	begin := time.Now()
	for i := range 60 {
		c.send("D", fmt.Sprintf("11=t%d|55=ONEB|54=1|60=<TIME>|38=5|40=2|44=100.25|", i))
	}
	for range 60 {
		c.expect("8")
	}
	if took := time.Since(begin); took < 400*time.Millisecond {
		t.Errorf("60 orders at 100/s took %v", took)
	}
	if a.Counts.Of(CountThrottled) == 0 {
		t.Error("not counted")
	}
}

func TestWhoDoesNotReadIsCutOff(t *testing.T) {
	s := twoSessions(t)
	a, _, address := serve(t, Config{Sessions: s, BacklogMax: 64 << 10})
	good, lazy := dial(t, address, "GOOD"), dial(t, address, "BAD")
	good.logon("")
	lazy.logon("")
	_ = lazy.Conn.(*net.TCPConn).SetReadBuffer(4096)
	go func() {
		for i := range 40_000 {
			lazy.send("D", fmt.Sprintf("11=l%d|55=ONEB|54=1|60=<TIME>|38=5|40=2|44=100.25|", i))
		}
	}()
	for deadline := time.Now().Add(20 * time.Second); a.Counts.Of(CountSlow) == 0; good.works() {
		if time.Now().After(deadline) {
			t.Fatal("nobody was cut off")
		}
	}
	good.works()
}

func certificate(t *testing.T, name string, by *tls.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: by == nil, BasicConstraintsValid: true}
	parent, signer := x, any(key)
	if by != nil {
		parent, signer = by.Leaf, by.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, x, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func TestCertificates(t *testing.T) {
	authority, other := certificate(t, "authority", nil), certificate(t, "other", nil)
	own := certificate(t, "lane", &authority)
	pool := x509.NewCertPool()
	pool.AddCert(authority.Leaf)
	s := twoSessions(t)
	s[0].CertificateName = "desk"
	a, _, address := serve(t, Config{Sessions: s, TLS: &tls.Config{Certificates: []tls.Certificate{own}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}})
	connect := func(certs ...tls.Certificate) *talker {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		secure := tls.Client(c, &tls.Config{RootCAs: pool, ServerName: "lane", Certificates: certs})
		t.Cleanup(func() { _ = c.Close() })
		return &talker{t: t, Conn: secure, r: bufio.NewReader(secure), target: "GOOD", seq: 1}
	}
	for name, certs := range map[string][]tls.Certificate{"none": nil, "another authority's": {certificate(t, "desk", &other)}, "another name": {certificate(t, "else", &authority)}} {
		c := connect(certs...)
		c.send("A", "98=0|108=30|")
		c.ends()
		_ = name
	}
	// Who is refused may know it before it is counted.
	for deadline := time.Now().Add(5 * time.Second); a.Counts.Of(CountHandshake) < 2 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
	}
	if a.Counts.Of(CountHandshake) != 2 || a.Counts.Of(CountWrongCertificate) != 1 {
		t.Errorf("%d handshakes failed, %d wrong names", a.Counts.Of(CountHandshake), a.Counts.Of(CountWrongCertificate))
	}
	c := connect(certificate(t, "desk", &authority))
	c.logon("")
	c.works()
}

// TestStreamsOfNoise: whatever comes in behind a Logon, the others do not notice.
func TestStreamsOfNoise(t *testing.T) {
	_, _, address := serve(t, Config{Sessions: twoSessions(t), LogonTimeout: time.Second})
	good := dial(t, address, "GOOD")
	good.logon("")
	rng := mrand.New(mrand.NewPCG(3, 4))
	valid := string(cases.Fill("8=FIX.4.4\x0135=D\x0134=2\x0149=BAD\x0152=<TIME>\x0156=ISLD\x0111=x\x0155=ONEB\x0154=1\x0138=1\x0140=1\x0160=<TIME>\x01"))
	for range 150 {
		c := dial(t, address, "BAD")
		c.sendAs("1", "A", "98=0|108=30|141=Y|")
		c.expect("A")
		var b []byte
		for len(b) < 2000 {
			m := []byte(valid)
			for range rng.IntN(6) {
				m[rng.IntN(len(m))] = byte(rng.IntN(256))
			}
			b = append(b, m[:rng.IntN(len(m)+1)]...)
		}
		_, _ = c.Write(b)
		good.works()
		_ = c.Close()
	}
}

func FuzzCut(f *testing.F) {
	f.Add(cases.Fill("8=FIX.4.4\x0135=0\x0134=1\x0149=A\x0152=<TIME>\x0156=B\x01"))
	f.Add([]byte("8=FIX.4.4\x019=5\x0135=0\x0110=000\x018=8=\x019=1\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for at, n := 0, 0; n < 1000; n++ {
			done, m, good, tooLong := cut(b[at:], 512)
			if done < 0 || at+done > len(b) || len(m) > len(b) {
				t.Fatalf("%d bytes done of %d", done, len(b)-at)
			}
			if m != nil && good {
				var h head
				h.parse(m)
				h.reverse(nil)
			}
			if at += done; done == 0 || tooLong {
				return
			}
		}
	})
}
