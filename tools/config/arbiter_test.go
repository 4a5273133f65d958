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

// What stands in the example's comments is a configuration too.
func TestExampleSections(t *testing.T) {
	path := withKey(t, "example-a.toml")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "witness.key"), []byte(strings.Repeat("c7", KeyBytes)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{ArbitrationWitness, ArbitrationEtcd} {
		text := strings.Replace(string(b), `arbitration = "pair"`, `arbitration = "`+name+`"`, 1)
		from := strings.Index(text, "# ["+name+"]")
		end := from + strings.Index(text[from:], "\n\n")
		var section []string
		for _, line := range strings.Split(text[from:end], "\n") {
			if line = strings.TrimPrefix(line, "# "); !strings.HasSuffix(strings.Fields(line + " x")[0], "_file") || name == ArbitrationWitness {
				section = append(section, line)
			}
		}
		cfg, err := Parse(path, []byte(text[:from]+strings.Join(section, "\n")+text[end:]))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !cfg.Lanes[0].Registered() {
			t.Error(name)
		}
	}
}

func TestWitnessFile(t *testing.T) {
	c, err := LoadWitness(withKey(t, "example-witness.toml"))
	if err != nil {
		t.Fatal(err)
	}
	if w := c.Witness; w.Listen.String() != "10.98.0.100:7500" || w.Idle != IdleYield || w.Core != -1 || len(c.Groups) != 1 || c.Groups[0].Key[0] != 0xa5 {
		t.Errorf("%+v", c)
	}
	key, other := writeKey(t, "a5"), writeKey(t, "b6")
	const head = "[witness]\nlisten = \"10.98.0.100:7500\"\n"
	group := func(name, key string) string {
		return "[[group]]\nname = \"" + name + "\"\nkey_file = \"" + key + "\"\n"
	}
	for _, c := range []struct{ name, doc, want string }{
		{"two groups", head + group("a", key) + group("b", other), ""},
		{"no group", head, "group: missing; add at least one [[group]]"},
		{"no listen", "[witness]\n" + group("a", key), "witness.listen: missing"},
		{"unknown", head + "colour = 1\n" + group("a", key), "witness.colour: unknown key"},
		{"one key", head + group("a", key) + group("b", key), "group[1].key_file: holds the key of group[0]"},
		{"one name", head + group("a", key) + group("a", other), `group[1].name: "a" is already that of group[0]`},
		{"idle", head + "idle = \"sleep\"\n" + group("a", key), "witness.idle: \"sleep\" is not known"},
		{"run_dir", head + "run_dir = \"run\"\n" + group("a", key), "witness.run_dir: \"run\" is not an absolute path"},
		{"name", head + "name = \"a/b\"\n" + group("a", key), "witness.name: \"a/b\" cannot name a file"},
	} {
		_, err := ParseWitness("w.toml", []byte(c.doc))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
	if w, err := WitnessOfKeys("10.98.0.100:7500", []string{key, other}); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("two files of one name: %+v, %v", w, err)
	}
	if w, err := WitnessOfKeys("10.98.0.100:7500", []string{key}); err != nil || w.Groups[0].Name != "a" || w.Groups[0].Key[0] != 0xa5 {
		t.Errorf("%+v, %v", w, err)
	}
}
