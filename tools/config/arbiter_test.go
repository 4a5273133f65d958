package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// writeKey makes a key file and returns its path.
func writeKey(t *testing.T, digits string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.key")
	if err := os.WriteFile(path, []byte(strings.Repeat(digits, KeyBytes)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestArbitration(t *testing.T) {
	key, other := writeKey(t, "a5"), writeKey(t, "b6")
	// The lane's lines come after the link's, which also has a peer.
	inLane := func(lines string) string {
		at := strings.Index(base, "[[lane]]")
		return base[:at] + strings.Replace(base[at:], "peer = 2\n", "peer = 2\n"+lines+"\n", 1)
	}
	witness := func(more string) string {
		return "[witness]\naddress = \"10.98.0.100:7500\"\nkey_file = \"" + key + "\"\n" + more
	}
	etcd := func(endpoints, more string) string {
		return "[etcd]\nendpoints = [" + endpoints + "]\nprefix = \"/onebeat/a\"\n" + more
	}
	const three = `"http://10.98.0.1:2379", "http://10.98.0.2:2379", "http://10.98.0.3:2379"`
	for _, c := range []struct{ name, doc, want string }{
		{"witness", inLane(`arbitration = "witness"`) + witness(""), ""},
		{"etcd", inLane(`arbitration = "etcd"`) + etcd(three, ""), ""},
		{"etcd by name", inLane(`arbitration = "etcd"`) + etcd(`"https://etcd-1.example:2379"`, ""), ""},
		{"degrade with a witness", inLane("arbitration = \"witness\"\nwait = \"20ms\"\non_timeout = \"degrade\"") + witness(""), ""},
		{"unknown", inLane(`arbitration = "raft"`), `lane[0].arbitration: "raft" is not known; use one of pair, witness, etcd`},
		{"no section", inLane(`arbitration = "witness"`), `witness: missing, but lane[0].arbitration = "witness"; add the section [witness]`},
		{"no etcd section", inLane(`arbitration = "etcd"`), `etcd: missing, but lane[0].arbitration = "etcd"; add the section [etcd]`},
		{"unused", base + witness(""), "witness: no lane uses it"},
		{"unused etcd", base + etcd(three, ""), "etcd: no lane uses it"},
		{"silence", inLane("arbitration = \"witness\"\nsilence = \"links\"") + witness(""), `lane[0].silence: links is for arbitration = "pair"`},
		{"no peer", strings.Replace(base[:strings.Index(base, "[[link]]")]+base[strings.Index(base, "[[lane]]"):], "peer = 2", `arbitration = "witness"`, 1) + witness(""),
			"lane[0].arbitration: witness decides between two nodes, and this lane has no peer"},
		{"own link", inLane(`arbitration = "witness"`) + strings.Replace(witness(""), "10.98.0.100", "10.99.0.1", 1), "witness.address: 10.99.0.1:7500 is this node's own (link[0].address)"},
		{"the peer", inLane(`arbitration = "witness"`) + strings.Replace(witness(""), "10.98.0.100", "10.99.0.2", 1), "witness.address: 10.99.0.2:7500 is the peer's (link[0].peer_address)"},
		{"the lane", inLane(`arbitration = "witness"`) + strings.Replace(witness(""), "10.98.0.100", "10.10.0.100", 1), "witness.address: 10.10.0.100:7500 is the lane's, which moves"},
		{"loopback", inLane(`arbitration = "witness"`) + strings.Replace(witness(""), "10.98.0.100", "127.0.0.1", 1), "witness.address: 127.0.0.1:7500 is this host's own"},
		{"no port", inLane(`arbitration = "witness"`) + strings.Replace(witness(""), ":7500", "", 1), `witness.address: "10.98.0.100" is not an IPv4 address and a port`},
		{"port", inLane(`arbitration = "witness"`) + strings.Replace(witness(""), ":7500", ":0", 1), "has no port from 1 to 65535"},
		{"no key", inLane(`arbitration = "witness"`) + strings.Replace(witness(""), "key_file = \""+key+"\"", "", 1), "witness.key_file: missing"},
		{"absent key", inLane(`arbitration = "witness"`) + strings.Replace(witness(""), key, "/nonexistent/key", 1), "witness.key_file: stat /nonexistent/key: no such file"},
		{"the link's key", strings.Replace(inLane(`arbitration = "witness"`), "auth = false", "key_file = \""+key+"\"", 1) + witness(""), "witness.key_file: is also the key of link[0]"},
		{"a key of its own", strings.Replace(inLane(`arbitration = "witness"`), "auth = false", "key_file = \""+other+"\"", 1) + witness(""), ""},
		{"timeout short", inLane(`arbitration = "witness"`) + witness(`timeout = "10us"`), "witness.timeout: 10µs is out of range; use 50us to 100ms"},
		{"timeout long", inLane(`arbitration = "witness"`) + witness(`timeout = "1s"`), "witness.timeout: 1s is out of range"},
		{"timeout above the heartbeat", inLane(`arbitration = "witness"`) + witness(`timeout = "6ms"`), "witness.timeout: 6ms is longer than the heartbeat of lane[0].heartbeat, 5ms"},
		{"etcd timeout", inLane(`arbitration = "etcd"`) + etcd(three, `timeout = "1ms"`), "etcd.timeout: 1ms is out of range; use 10ms to 30s"},
		{"endpoint", inLane(`arbitration = "etcd"`) + etcd(`"10.98.0.1:2379"`, ""), `etcd.endpoints[0]: "10.98.0.1:2379" is not the URL of a member`},
		{"no endpoint", inLane(`arbitration = "etcd"`) + etcd("", ""), "etcd.endpoints: is empty"},
		{"only the nodes", inLane(`arbitration = "etcd"`) + etcd(`"http://10.99.0.1:2379", "http://10.99.0.2:2379"`, ""), "etcd.endpoints: are the two nodes' own"},
		{"one elsewhere", inLane(`arbitration = "etcd"`) + etcd(`"http://10.99.0.1:2379", "http://10.99.0.2:2379", "http://10.98.0.3:2379"`, ""), ""},
		{"prefix", inLane(`arbitration = "etcd"`) + strings.Replace(etcd(three, ""), "/onebeat/a", "onebeat", 1), `etcd.prefix: "onebeat" does not start with /`},
		{"half a certificate", inLane(`arbitration = "etcd"`) + etcd(three, "cert_file = \""+key+"\""), "etcd.key_file: missing: a certificate and its key belong together"},
		{"certificates without TLS", inLane(`arbitration = "etcd"`) + etcd(three, "ca_file = \""+key+"\""), "etcd.endpoints: certificates are given, but no endpoint is https"},
		{"absent certificate", inLane(`arbitration = "etcd"`) + etcd(`"https://10.98.0.1:2379"`, "ca_file = \"nowhere.pem\""), "etcd.ca_file: stat"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg, err := Parse("x.toml", []byte(c.doc))
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if !cfg.Lanes[0].Registered() {
					t.Error("not registered")
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got\n%v\nwant %s", err, c.want)
			}
		})
	}
	cfg, err := Parse("x.toml", []byte(inLane(`arbitration = "witness"`)+witness(`timeout = "2ms"`)))
	if err != nil {
		t.Fatal(err)
	}
	if w := cfg.Witness; w.Key[0] != 0xa5 || w.Address.String() != "10.98.0.100:7500" || w.Timeout.Ns() != 2_000_000 {
		t.Errorf("%+v", w)
	}
}
