package node

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"onebeat/bench/lab"
	"onebeat/mirror/lane"
	"onebeat/mirror/stream"
)

// fixSection is a lane's FIX: keys of [lane.fix], then sessions, each with its CompID.
func fixSection(keys string, sessions map[string]string) string {
	text := fmt.Sprintf("[lane.fix]\nport = %d\n%s\n", fixPort, keys)
	for name, s := range sessions {
		text += fmt.Sprintf("[[lane.fix.session]]\nname = %q\nsender_comp_id = \"ONEBEAT\"\ntarget_comp_id = %q\n%s\n", strings.ToLower(name), name, s)
	}
	return text
}

// pair writes a certificate and a key as files.
func pair(t *testing.T, dir, name string, certificate, key []byte, err error) {
	t.Helper()
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".crt"), certificate, 0o600)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".key"), key, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestStrangersAtAFIXPortOfANode: the file says who may come: certificates, CompIDs,
// addresses, credentials and times. Everybody else hears nothing, is counted, and no
// number is used up; so it is at the node that takes over.
func TestStrangersAtAFIXPortOfANode(t *testing.T) {
	dir := t.TempDir()
	authority, err := stream.NewAuthority(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	other, err := stream.NewAuthority(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	crt, key, err := authority.PEM()
	pair(t, dir, "authority", crt, key, err)
	for i, name := range []string{"lane", "desk", "else"} {
		crt, key, err := authority.Issue(uint8(i+1), time.Hour)
		pair(t, dir, name, crt, key, err)
	}
	foreign, foreignKey, err := other.Issue(2, time.Hour) // desk's name
	pair(t, dir, "foreign", foreign, foreignKey, err)
	secret := filepath.Join(dir, "password")
	if err := os.WriteFile(secret, []byte("correct horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}

	clock := &wallClock{}
	clock.set(t, "2026-03-10 16:59:00", "America/New_York")
	at := func(name string) string { return filepath.Join(dir, name) }
	w := steadyUDP(t, setting{app: "book", calm: true, witness: true, wall: clock.now, session: fixSection(
		fmt.Sprintf("certificate = %q\nkey = %q\nauthorities = %q\nlogon_timeout = \"300ms\"", at("lane.crt"), at("lane.key"), at("authority.crt")),
		map[string]string{
			"DESK":  fmt.Sprintf("latency = \"0s\"\ncertificate_name = %q\nusername = \"trader\"\npassword_file = %q\nallow = [\"127.0.0.0/8\", \"2001:db8::/32\"]", stream.NodeName(2), secret),
			"FAR":   "latency = \"0s\"\nallow = [\"192.0.2.0/24\"]",
			"NIGHT": "latency = \"0s\"\nstart = \"18:00:00\"\nend = \"08:00:00\"\ntime_zone = \"America/New_York\"",
		})})
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(crt)
	with := func(name string) *tls.Config {
		c := &tls.Config{RootCAs: pool, ServerName: stream.NodeName(1)}
		if name != "" {
			own, err := tls.LoadX509KeyPair(at(name+".crt"), at(name+".key"))
			if err != nil {
				t.Fatal(err)
			}
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil } // whoever asks for it
		}
		return c
	}
	const good = "98=0|108=30|553=trader|554=correct horse|"
	strangers := []struct{ who, certificate, counter, logon string }{
		{"DESK", "", "handshake_failed", good},
		{"DESK", "foreign", "handshake_failed", good},
		{"DESK", "else", "wrong_certificate", good},
		{"NOBODY", "desk", "unknown_session", good},
		{"FAR", "desk", "wrong_address", good},
		{"NIGHT", "desk", "out_of_schedule", good},
		{"DESK", "desk", "wrong_credentials", "98=0|108=30|553=trader|554=correct hors|"},
		{"DESK", "desk", "wrong_credentials", "98=0|108=30|553=Trader|554=correct horse|"},
		{"DESK", "desk", "wrong_credentials", "98=0|108=30|"},
	}
	refuse := func(place string) {
		t.Helper()
		want := map[string]uint64{}
		for _, s := range strangers {
			p := w.dialFIX(place, s.who, with(s.certificate))
			p.send("A", s.logon)
			p.ends()
			want["fix_tcp_"+s.counter]++
			w.untilCounted(place, "fix_tcp_"+s.counter, want["fix_tcp_"+s.counter])
		}
		clear := w.dialFIX(place, "DESK", nil) // no TLS
		clear.send("A", good)
		for clear.next() != nil { // an alert is no FIX message
		}
		w.untilCounted(place, "fix_tcp_handshake_failed", 3)
		silent := w.dialFIX(place, "DESK", nil)
		silent.ends()
	}
	enter := func(place string, out int) *fixPeer {
		t.Helper()
		p := w.dialFIX(place, "DESK", with("desk"))
		p.out = out
		p.logon("553=trader|554=correct horse|", fmt.Sprintf("34=%d", out))
		p.send("1", "112=here|")
		p.expect("0", "112=here")
		return p
	}
	refuse(lab.NodeA)
	p := enter(lab.NodeA, 1)
	if again := w.dialFIX(lab.NodeA, "DESK", with("desk")); true {
		again.out = 3
		again.send("A", good)
		again.ends()
		w.untilCounted(lab.NodeA, "fix_tcp_logged_on_already", 1)
	}
	w.kill(lab.NodeA)
	w.untilState(lab.NodeB, lane.Active)
	p.ends()
	refuse(lab.NodeB)
	enter(lab.NodeB, 3)
}
