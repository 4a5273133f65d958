package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// withKey puts an example beside a key file, as a user would have it.
func withKey(t *testing.T, name string) string {
	t.Helper()
	doc, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, doc, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "example.key"), []byte(strings.Repeat("a5", KeyBytes)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestExamplesLoad(t *testing.T) {
	a, err := Load(withKey(t, "example-a.toml"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := Load(withKey(t, "example-b.toml"))
	if err != nil {
		t.Fatal(err)
	}
	v, err := Load("venue.toml")
	if err != nil {
		t.Fatal(err)
	}
	la, lb := a.Lane(0), b.Lane(0)
	if !la.First || lb.First || la.Peer != b.Node.Number || lb.Peer != a.Node.Number || a.Links[0].Key != b.Links[0].Key {
		t.Errorf("the two examples are not each other's peers: %+v %+v", la, lb)
	}
	ab, ba := a.Link(la.Peer), b.Link(lb.Peer)
	if ab == nil || ba == nil || ab.PeerAddress != ba.Address || ba.PeerAddress != ab.Address {
		t.Error("the two examples do not share a cable")
	}
	if !ab.TwoPaths() || !ba.TwoPaths() || ab.PeerOrderAddress != ba.OrderAddress || ba.PeerOrderAddress != ab.OrderAddress {
		t.Error("the two examples do not share an order network")
	}
	if la.Venues[0].Session != v.Lanes[0].Sessions[0].ID || la.Venues[0].Key != v.Lanes[0].Sessions[0].Key || la.Venues[0].Address != v.Lanes[0].Address {
		t.Error("the gateway of the examples could not log in at their venue")
	}
	if la.Heartbeat.Ns() != 5_000_000 || la.Tick.Ns() != 1_000_000 || la.RingSize.Bytes() != 16<<20 || la.Wait != WaitForever {
		t.Errorf("wrong values: %+v", la)
	}
	if vl := v.Lanes[0]; vl.Policy != "none" || vl.Tick.Ns() != 1_000_000 || v.Loop.Core != -1 || v.Loop.MaxSleep.Ns() != 500_000 {
		t.Errorf("wrong defaults: %+v %+v", vl, v.Loop)
	}
}

// base is a file with nothing wrong; tests replace lines of it.
const base = `[node]
name = "n"
number = 1
[order]
interface = "eth1"
[[link]]
peer = 2
interface = "eth2"
address = "10.99.0.1"
peer_address = "10.99.0.2"
auth = false
order_address = "10.10.0.1"
peer_order_address = "10.10.0.2"
[[lane]]
id = 0
address = "10.10.0.100"
port = 9000
peer = 2
app = "gateway"
[[lane.session]]
id = "6f9f0a52-5d1a-4d3f-9a34-0d6c5e9f1a01"
name = "c"
key = "k"
[[lane.venue]]
name = "exchange"
address = "10.10.0.200"
port = 9100
local_port = 9001
session = "6f9f0a52-5d1a-4d3f-9a34-0d6c5e9f1b01"
key = "g"
[[lane.symbol]]
id = 1
name = "S"
`

// fixpLines are those of the base file's venue that FIX has no use for.
const fixpLines = "local_port = 9001\nsession = \"6f9f0a52-5d1a-4d3f-9a34-0d6c5e9f1b01\"\nkey = \"g\"\n"

// secondVenue is another venue of the base file's lane.
func secondVenue(ports, more string) string {
	return "[[lane.venue]]\nname = \"other\"\naddress = \"10.10.0.201\"\n" + ports +
		"\nsession = \"6f9f0a52-5d1a-4d3f-9a34-0d6c5e9f1b02\"\nkey = \"g\"\n" + more + "\n"
}

// TestRoutes: a symbol goes to the venue that names it, else to the default, else
// to none.
func TestRoutes(t *testing.T) {
	symbols := "[[lane.symbol]]\nid = 2\nname = \"T\"\n[[lane.symbol]]\nid = 3\nname = \"U\"\n"
	parse := func(first, second string) *Lane {
		text := strings.Replace(base, "name = \"exchange\"", "name = \"exchange\"\n"+first, 1)
		c, err := Parse("x.toml", []byte(strings.Replace(text, "[[lane.symbol]]", second+symbols+"[[lane.symbol]]", 1)))
		if err != nil {
			t.Fatal(err)
		}
		return c.Lane(0)
	}
	one := parse("", "")
	two := parse(`symbols = ["S"]`, secondVenue("port = 9200\nlocal_port = 9002", "default = true"))
	three := parse(`symbols = ["S"]`, secondVenue("port = 9200\nlocal_port = 9002", `symbols = ["T"]`))
	for _, c := range []struct {
		lane   *Lane
		symbol string
		want   int
	}{{one, "S", 0}, {one, "U", 0}, {two, "S", 0}, {two, "T", 1}, {two, "U", 1}, {three, "S", 0}, {three, "T", 1}, {three, "U", -1}} {
		if got := c.lane.VenueOf(c.symbol); got != c.want {
			t.Errorf("%s goes to venue %d of %d, want %d", c.symbol, got, len(c.lane.Venues), c.want)
		}
	}
}

func TestRefusals(t *testing.T) {
	if _, err := Parse("x.toml", []byte(base)); err != nil {
		t.Fatalf("base file: %v", err)
	}
	const book = `app = "book"`
	for _, c := range []struct{ name, old, new, want string }{
		{"syntax", "number = 1", "number = = 1", "x.toml:3:10: "},
		{"key twice", "number = 1", "number = 1\nnumber = 2", "x.toml:4:1: "},
		{"unknown key", "number = 1", "number = 1\ncolour = 3", "x.toml:4:10: node.colour: unknown key; known here: name, number, "},
		{"unknown section", "[order]", "[orders]\n[order]", "x.toml:4:2: orders: unknown key"},
		{"wrong type", "number = 1", `number = "1"`, "x.toml:3:10: node.number: is a string, must be an integer"},
		{"wrong section type", "[order]\ninterface = \"eth1\"", "[[order]]", "order: is a list, must be a table"},
		{"missing field", "number = 1\n", "", "x.toml:1:2: node.number: missing; add number"},
		{"missing section", "[order]\ninterface = \"eth1\"\n", "", "x.toml:1:1: order: missing; add the section [order]"},
		{"missing list", "[[lane.symbol]]\nid = 1\nname = \"S\"\n", "", "lane[0].symbol: missing; add at least one [[lane.symbol]]"},
		{"range", "number = 1", "number = 256", "x.toml:3:10: node.number: 256 is out of range; use 1 to 255"},
		{"oneof", "peer = 2\napp", "peer = 2\narbitration = \"raft\"\napp", "lane[0].arbitration: \"raft\" is not known; use one of pair, witness, etcd"},
		{"port range", "port = 9000", "port = 70000", "lane[0].port: 70000 is out of range; the greatest is 65535"},
		{"port zero", "port = 9000", "port = 0", "lane[0].port: 0 is not a port"},
		{"port negative", "port = 9000", "port = -1", "lane[0].port: -1 is out of range"},
		{"address", `"10.10.0.100"`, `"10.10.0.300"`, "lane[0].address: \"10.10.0.300\" is not an IP address; write it like"},
		{"multicast", `"10.10.0.100"`, `"224.0.0.1"`, "is not one host's address"},
		{"uuid", "5e9f1a01", "5e9f1a0", "lane[0].session[0].id: \"6f9f0a52-5d1a-4d3f-9a34-0d6c5e9f1a0\" is not a UUID; write"},
		{"duration unit", `app = "gateway"`, "app = \"gateway\"\nheartbeat = \"5\"", "lane[0].heartbeat: \"5\" is not a duration"},
		{"duration type", `app = "gateway"`, "app = \"gateway\"\nheartbeat = 5", "lane[0].heartbeat: is an integer, must be a string"},
		{"heartbeat range", `app = "gateway"`, "app = \"gateway\"\nheartbeat = \"1m\"", "lane[0].heartbeat: 1m0s is out of range; use 100us to 10s"},
		{"heartbeat ticks", `app = "gateway"`, "app = \"gateway\"\ntick = \"2ms\"", "lane[0].heartbeat: 5ms is less than 4 ticks of 2ms"},
		{"hang ticks", `app = "gateway"`, "app = \"gateway\"\nhang_budget = \"1ms\"", "lane[0].hang_budget: 1ms is less than 2 ticks of 1ms"},
		{"hang idle", "[[lane]]\nid = 0", "[loop]\nmax_sleep = \"1200us\"\n[[lane]]\nid = 0\nhang_budget = \"2200us\"", "lane[0].hang_budget: 2.2ms is less than twice loop.max_sleep = 1.2ms"},
		{"heartbeat idle", "[[link]]", "[loop]\nmax_sleep = \"4ms\"\n[[link]]", "lane[0].heartbeat: 5ms is less than four times loop.max_sleep"},
		{"ring odd", `app = "gateway"`, "app = \"gateway\"\nring_size = \"3MiB\"", "lane[0].ring_size: 3MiB is not a power of two from 1MiB to 512MiB"},
		{"ring small", `app = "gateway"`, "app = \"gateway\"\nring_size = 4096", "lane[0].ring_size: 4KiB is not a power of two"},
		{"ring large", `app = "gateway"`, "app = \"gateway\"\nring_size = \"1GiB\"", "lane[0].ring_size: 1GiB is not a power of two"},
		{"no such policy", `app = "gateway"`, "app = \"gateway\"\npolicy = \"aplied\"", "lane[0].policy: no such policy"},
		{"a policy without its argument", `app = "gateway"`, "app = \"gateway\"\npolicy = \"mirrored:5\"", "lane[0].policy: policy mirrored"},
		{"none with wait", `app = "gateway"`, "app = \"gateway\"\npolicy = \"none\"\nwait = \"1ms\"", "lane[0].wait: policy none does not wait for an ACK"},
		{"wait without end", `app = "gateway"`, "app = \"gateway\"\nwait = \"20ms\"", "lane[0].on_timeout: missing, but wait ends; say degrade"},
		{"end without wait", `app = "gateway"`, "app = \"gateway\"\non_timeout = \"stop\"", "lane[0].on_timeout: is never reached"},
		{"links and degrade", `app = "gateway"`, "app = \"gateway\"\nwait = \"20ms\"\non_timeout = \"degrade\"\nsilence = \"links\"", "lane[0].silence: links together with on_timeout = \"degrade\""},
		{"peer is self", "port = 9000\npeer = 2", "port = 9000\npeer = 1", "lane[0].peer: is this node's own number"},
		{"mirrored alone", "port = 9000\npeer = 2", "port = 9000\npolicy = \"mirrored\"", "lane[0].policy: mirrored needs a peer"},
		{"peer without link", base[strings.Index(base, "[[link]]"):strings.Index(base, "[[lane]]")], "", "lane[0].peer: no [[link]] leads to node 2; add a [[link]] with peer = 2"},
		{"link to self", `"10.99.0.2"`, `"10.99.0.1"`, "link[0].peer_address: is this node's own link address"},
		{"link is order", `interface = "eth2"`, `interface = "eth1"`, "link[0].interface: eth1 is the order NIC"},
		{"link leads elsewhere", "[[link]]\npeer = 2", "[[link]]\npeer = 3", "lane[0].peer: no [[link]] leads to node 2"},
		{"link leads here", "[[link]]\npeer = 2", "[[link]]\npeer = 1", "link[0].peer: is this node's own number"},
		{"link without a peer", "[[link]]\npeer = 2", "[[link]]", "link[0].peer: missing; add peer"},
		{"link of the old kind", "[[link]]", "[link]", "link: is a table, must be a list; head it [[link]]"},
		{"two links to one peer", "auth = false\n", "auth = false\n[[link]]\npeer = 2\ninterface = \"eth3\"\naddress = \"10.98.0.1\"\npeer_address = \"10.98.0.2\"\nauth = false\n", "link[1].peer: peer 2 is already that of link[0].peer; one link leads to each peer"},
		{"two links on one NIC", "auth = false\n", "auth = false\n[[link]]\npeer = 3\ninterface = \"eth2\"\naddress = \"10.98.0.1\"\npeer_address = \"10.98.0.2\"\nauth = false\n", "link[1].interface: link NIC eth2 is already that of link[0].interface"},
		{"two links of one address", "auth = false\n", "auth = false\n[[link]]\npeer = 3\ninterface = \"eth3\"\naddress = \"10.99.0.1\"\npeer_address = \"10.98.0.2\"\nauth = false\n", "link[1].address: link address 10.99.0.1 is already that of link[0].address"},
		{"two link ports", "auth = false\n", "auth = false\n[[link]]\npeer = 3\ninterface = \"eth3\"\naddress = \"10.98.0.1\"\npeer_address = \"10.98.0.2\"\nport = 7401\nauth = false\n", "link[1].port: 7401 differs from link[0]'s 7400"},
		{"one order address", "peer_order_address = \"10.10.0.2\"\n", "", "link[0].peer_order_address: missing, but order_address is set"},
		{"the other order address", "order_address = \"10.10.0.1\"\n", "", "link[0].order_address: missing, but peer_order_address is set"},
		{"order address of its own", `peer_order_address = "10.10.0.2"`, `peer_order_address = "10.10.0.1"`, "link[0].peer_order_address: is this node's own order address"},
		{"order address of a lane", `peer_order_address = "10.10.0.2"`, `peer_order_address = "10.10.0.100"`, "link[0].peer_order_address: 10.10.0.100 is the address of lane[0], which moves"},
		{"silence on one path", "order_address = \"10.10.0.1\"\npeer_order_address = \"10.10.0.2\"\n[[lane]]", "[[lane]]\nsilence = \"links\"", "lane[0].silence: links needs two paths to node 2"},
		{"lane queue", `app = "gateway"`, "queue = 64\napp = \"gateway\"", "lane[0].queue: 64 is out of range; use 0 to 63"},
		{"lane core", `app = "gateway"`, "core = -2\napp = \"gateway\"", "lane[0].core: -2 is out of range; use -1 to 1023"},
		{"key file missing", "auth = false\n", "", "link[0].key_file: missing; make one with"},
		{"key file absent", "auth = false", `key_file = "/nonexistent/key"`, "link[0].key_file: stat /nonexistent/key: no such file"},
		{"key file unused", "auth = false", "auth = false\nkey_file = \"k\"", "link[0].key_file: has no use with auth = false"},
		{"gateway without venue", base[strings.Index(base, "[[lane.venue]]"):strings.Index(base, "[[lane.symbol]]")], "", "lane[0].venue: a gateway needs a venue"},
		{"book with venue", `app = "gateway"`, book, "lane[0].venue: a book is a venue itself"},
		{"venue is lane", `"10.10.0.200"`, `"10.10.0.100"`, "lane[0].venue[0].address: is the lane's own address"},
		{"venue port", "local_port = 9001", "local_port = 9000", "lane[0].venue[0].local_port: 9000 is also the port clients use"},
		{"two venues on one port", "key = \"g\"\n", "key = \"g\"\nsymbols = [\"S\"]\n" + secondVenue("port = 9200\nlocal_port = 9001", "default = true"), "lane[0].venue[1].local_port: 9001 is already that of lane[0].venue[0].local_port"},
		{"venue without symbols", "key = \"g\"\n", "key = \"g\"\ndefault = true\n" + secondVenue("port = 9200\nlocal_port = 9002", ""), "lane[0].venue[1].symbols: nothing goes to this venue"},
		{"two defaults", "key = \"g\"\n", "key = \"g\"\ndefault = true\n" + secondVenue("port = 9200\nlocal_port = 9002", "default = true"), "lane[0].venue[1].default: the lane has a default already: exchange"},
		{"unknown symbol", "name = \"exchange\"", "name = \"exchange\"\nsymbols = [\"T\"]", "lane[0].venue[0].symbols: there is no symbol \"T\" in this lane"},
		{"symbol twice at a venue", "name = \"exchange\"", "name = \"exchange\"\nsymbols = [\"S\", \"S\"]", "lane[0].venue[0].symbols: \"S\" goes to venue exchange already"},
		{"queue without throttle", "name = \"exchange\"", "name = \"exchange\"\nqueue = 5", "lane[0].venue[0].queue: has no use without a throttle"},
		{"cancels of no queue", "name = \"exchange\"", "name = \"exchange\"\norders_per_second = 5\ncancels_first = true", "lane[0].venue[0].cancels_first: there is no queue"},
		{"breaker without failures", "name = \"exchange\"", "name = \"exchange\"\nbreak_open = \"1s\"", "lane[0].venue[0].break_open: has no use without break_after"},
		{"reconnect", "name = \"exchange\"", "name = \"exchange\"\nreconnect = \"1s\"", "lane[0].venue[0].reconnect_max: 500ms is less than reconnect = 1s"},
		{"FIXP venue without session", "session = \"6f9f0a52-5d1a-4d3f-9a34-0d6c5e9f1b01\"\nkey", "key", "lane[0].venue[0].session: missing; add session = …, or [lane.venue.fix]"},
		{"FIX venue with a key", fixpLines, "key = \"g\"\n[lane.venue.fix]\nsender_comp_id = \"A\"\ntarget_comp_id = \"B\"\n", "lane[0].venue[0].key: has no use over FIX"},
		{"FIX venue without CompID", fixpLines, "[lane.venue.fix]\nsender_comp_id = \"A\"\n", "lane[0].venue[0].fix.target_comp_id: missing"},
		{"FIX venue's authorities in clear text", fixpLines, "[lane.venue.fix]\nsender_comp_id = \"A\"\ntarget_comp_id = \"B\"\nauthorities = \"a.crt\"\n", "lane[0].venue[0].fix.authorities: has no use without tls = true"},
		{"FIX venue, half a certificate", fixpLines, "[lane.venue.fix]\nsender_comp_id = \"A\"\ntarget_comp_id = \"B\"\ntls = true\nkey = \"a.key\"\n", "lane[0].venue[0].fix.certificate: certificate and key belong together"},
		{"FIX venue's schedule", fixpLines, "[lane.venue.fix]\nsender_comp_id = \"A\"\ntarget_comp_id = \"B\"\nstart = \"7 am\"\n", "lane[0].venue[0].fix.start: "},
		{"FIX venue's heartbeat", fixpLines, "[lane.venue.fix]\nsender_comp_id = \"A\"\ntarget_comp_id = \"B\"\nheartbeat = \"1500ms\"\n", "lane[0].venue[0].fix.heartbeat: 1.5s is no number of whole seconds"},
		{"session twice", "5e9f1b01", "5e9f1a01", "lane[0].venue[0].session: session 6f9f0a52-5d1a-4d3f-9a34-0d6c5e9f1a01 is already that of lane[0].session[0].id"},
		{"symbol twice", "id = 1\nname = \"S\"", "id = 1\nname = \"S\"\n[[lane.symbol]]\nid = 1\nname = \"T\"", "lane[0].symbol[1].id: in lane[0] symbol 1 is already that of"},
		{"xdp interface", `interface = "eth1"`, "", "order.interface: missing; name the NIC"},
		{"udp address", "number = 1", "number = 1\ntransport = \"udp\"", "order.address: missing with transport udp"},
		{"link-local lane", `address = "10.10.0.100"`, `address = "fe80::100"`, "lane[0].address: \"fe80::100\" is a link-local address: every network has the same ones"},
		{"zone", `address = "10.10.0.100"`, `address = "fe80::100%eth1"`, "lane[0].address: \"fe80::100%eth1\" is a link-local address"},
		{"zone of a global address", `address = "10.10.0.100"`, `address = "fd00::100%eth1"`, "lane[0].address: \"fd00::100%eth1\" has a zone; give the address without %eth1"},
		{"IPv4 in IPv6", `address = "10.10.0.100"`, `address = "::ffff:10.10.0.100"`, "is an IPv4 address in IPv6 notation; write \"10.10.0.100\""},
		{"IPv6 multicast", `address = "10.10.0.100"`, `address = "ff02::1"`, "lane[0].address: \"ff02::1\" is not one host's address"},
		{"IPv6 unspecified", `address = "10.10.0.100"`, `address = "::"`, "lane[0].address: \"::\" is not one host's address"},
		{"venue of another family", `address = "10.10.0.100"`, `address = "fd00::100"`, "lane[0].venue[0].address: 10.10.0.200 is of another family than lane[0].address = fd00::100"},
		{"link over IPv6", `address = "10.99.0.1"`, `address = "fd00::1"`, "link[0].address: \"fd00::1\" is not an IPv4 address"},
		{"VLAN too high", `interface = "eth1"`, "interface = \"eth1\"\nvlan = 4095", "order.vlan: 4095 is out of range; use 0 to 4094"},
		{"VLAN below 0", `interface = "eth1"`, "interface = \"eth1\"\nvlan = -1", "order.vlan: -1 is out of range; use 0 to 4094"},
		{"VLAN of sockets", "number = 1\n[order]", "number = 1\ntransport = \"udp\"\n[order]\nvlan = 7\naddress = \"10.10.0.1\"", "order.vlan: has no use with transport udp"},
		{"path", "number = 1", "number = 1\nrun_dir = \"run\"", "node.run_dir: \"run\" is not an absolute path"},
		{"name", `name = "n"`, `name = "a/b"`, "node.name: \"a/b\" cannot name a file"},
		{"empty name", `name = "n"`, `name = ""`, "node.name: is empty"},
		{"float", "number = 1", "number = 1.5", "node.number: is a number or time of another kind, must be an integer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			doc := strings.Replace(base, c.old, c.new, 1)
			if doc == base {
				t.Fatalf("%q is not in the base file", c.old)
			}
			_, err := Parse("x.toml", []byte(doc))
			if err == nil {
				t.Fatalf("accepted; want %q", c.want)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got\n%v\nwant %q", err, c.want)
			}
			if es, ok := errors.AsType[Errors](err); !ok || len(es) != 1 {
				t.Errorf("got more than the one error:\n%v", err)
			}
		})
	}
}

func TestDuplicateLanes(t *testing.T) {
	lane := base[strings.Index(base, "[[lane]]"):]
	_, err := Parse("x.toml", []byte(base+lane))
	for _, want := range []string{"lane[1].id: lane id 0 is already", "lane[1].address: lane address 10.10.0.100 is already", "lane[1].session[0].id: session"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v\nwant %q", err, want)
		}
	}
}

func TestAllErrorsAtOnce(t *testing.T) {
	_, err := Parse("bad.toml", []byte(`[node]
name = 5
number = 700
[order]
colour = "red"
[loop]
idle = "hurry"
[[lane]]
id = 0
address = "nowhere"
port = 9000
app = "book"
ring_size = "5MiB"
hang_budget = "100us"
`))
	es, ok := errors.AsType[Errors](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	want := []string{"node.name", "node.number", "order.interface", "order.colour", "loop.idle",
		"lane[0].session", "lane[0].symbol", "lane[0].address", "lane[0].ring_size", "lane[0].hang_budget"}
	if len(es) != len(want) {
		t.Fatalf("%d errors, want %d:\n%v", len(es), len(want), err)
	}
	for i, e := range es {
		if e.Field != want[i] || e.Line == 0 || e.Column == 0 || e.File != "bad.toml" {
			t.Errorf("error %d is %v, want one of %s", i, e, want[i])
		}
	}
}

func TestKeyFiles(t *testing.T) {
	dir := t.TempDir()
	good := strings.Repeat("0f", KeyBytes)
	for _, c := range []struct {
		name, text string
		mode       os.FileMode
		want       string
	}{
		{"good", good + "\n", 0o600, ""},
		{"readable", good, 0o644, "others could read the key; chmod 600"},
		{"short", good[:62], 0o600, "does not hold a key; it must hold 64"},
		{"not hex", strings.Repeat("zz", KeyBytes), 0o600, "does not hold a key"},
		{"long", strings.Repeat(good, 9), 0o600, "has 576 bytes"},
		{"zeros", strings.Repeat("00", KeyBytes), 0o600, "holds a key of zeros"},
	} {
		path := filepath.Join(dir, c.name)
		if err := os.WriteFile(path, []byte(c.text), c.mode); err != nil {
			t.Fatal(err)
		}
		_, err := Parse(filepath.Join(dir, "n.toml"), []byte(strings.Replace(base, "auth = false", `key_file = "`+c.name+`"`, 1)))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), c.text[:8]) {
			t.Errorf("%s: the error quotes the key: %v", c.name, err)
		}
	}
}

// FuzzParse: no document panics, and what is refused is refused with a place.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"example-a.toml", "example-b.toml", "venue.toml"} {
		doc, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(doc)
	}
	f.Add([]byte(base))
	f.Fuzz(func(t *testing.T, doc []byte) {
		_, err := Parse("f.toml", doc)
		if err == nil {
			return
		}
		es, ok := errors.AsType[Errors](err)
		if !ok || len(es) == 0 {
			t.Fatalf("not an Errors: %v", err)
		}
		for _, e := range es {
			if e.Line < 1 || e.Column < 1 || e.Problem == "" {
				t.Fatalf("error without a place: %#v", e)
			}
		}
	})
}

// TestExchange: the table of a book's behaviour, and what is wrong with one.
func TestExchange(t *testing.T) {
	const book = `[node]
name = "v"
number = 9
[order]
interface = "eth1"
[[lane]]
id = 0
address = "10.10.0.200"
port = 9100
first = true
app = "book"
[lane.exchange]
self_match = "decrement"
drop_copy = ["a"]
delay_max = "1ms"
[[lane.exchange.schedule]]
at = "1s"
symbol = "S"
phase = "halted"
[[lane.session]]
id = "6f9f0a52-5d1a-4d3f-9a34-0d6c5e9f1a01"
name = "a"
key = "k"
[[lane.symbol]]
id = 1
name = "S"
`
	c, err := Parse("x.toml", []byte(book))
	if err != nil {
		t.Fatal(err)
	}
	if x := c.Lanes[0].Exchange; x.SelfMatch != "decrement" || x.Phase != "open" || len(x.Schedule) != 1 || x.DelayMax.Ns() != 1_000_000 {
		t.Errorf("%+v", x)
	}
	for _, r := range []struct{ old, new, want string }{
		{`"decrement"`, `"cancel"`, `lane[0].exchange.self_match: "cancel" is not known`},
		{`["a"]`, `["b"]`, `lane[0].exchange.drop_copy: there is no session "b"`},
		{`delay_max = "1ms"`, "delay_min = \"2ms\"\ndelay_max = \"1ms\"", "lane[0].exchange.delay_max: 1ms is less than delay_min = 2ms"},
		{"symbol = \"S\"\n", "symbol = \"T\"\n", `lane[0].exchange.schedule[0].symbol: there is no symbol "T"`},
		{"[[lane.session]]", "[[lane.exchange.schedule]]\nat = \"0s\"\nphase = \"open\"\n[[lane.session]]", "lane[0].exchange.schedule[1].at: 0s is before the entry above it"},
	} {
		if _, err := Parse("x.toml", []byte(strings.Replace(book, r.old, r.new, 1))); err == nil || !strings.Contains(err.Error(), r.want) {
			t.Errorf("%s: %v", r.want, err)
		}
	}
	if _, err := Parse("x.toml", []byte(strings.Replace(base, "[[lane.symbol]]", "[lane.exchange]\nseed = 1\n[[lane.symbol]]", 1))); err == nil || !strings.Contains(err.Error(), "only a book is one") {
		t.Errorf("a gateway as an exchange: %v", err)
	}
}
