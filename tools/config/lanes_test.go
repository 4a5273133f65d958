package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// shared is node 3 of an N+1: the standby of lanes from two nodes, each with a
// link of its own.
const shared = `[node]
name = "node-c"
number = 3
%s
[order]
interface = "eth1"
address = "10.10.0.3"
[loop]
core = 1
[[link]]
peer = 1
interface = "eth2"
address = "10.99.1.2"
peer_address = "10.99.1.1"
auth = false
[[link]]
peer = 2
interface = "eth3"
address = "10.99.2.2"
peer_address = "10.99.2.1"
auth = false
`

func sharedLane(id, peer, port int, lines string) string {
	return fmt.Sprintf(`[[lane]]
id = %d
address = "10.10.0.10%d"
port = %d
peer = %d
app = "book"
%s
[[lane.session]]
id = "6f9f0a52-5d1a-4d3f-9a34-0d6c5e9f1a0%d"
name = "c"
key = "k"
[[lane.symbol]]
id = 1
name = "S"
`, id, id, port, peer, lines, id)
}

func TestManyLanes(t *testing.T) {
	doc := fmt.Sprintf(shared, "") + sharedLane(0, 1, 9000, "") + sharedLane(1, 2, 9000, "queue = 1\ncore = 2") + sharedLane(2, 1, 9000, "core = 1")
	c, err := Parse("c.toml", []byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		nic         string
		queue, core int
	}{{"eth2", 0, 1}, {"eth3", 1, 2}, {"eth2", 0, 1}} {
		l := &c.Lanes[i]
		if link := c.Link(l.Peer); link == nil || link.Interface != want.nic || l.Queue != want.queue || c.ThreadCore(l) != want.core {
			t.Errorf("lane %d: link %+v, queue %d, core %d; want %+v", i, link, l.Queue, c.ThreadCore(l), want)
		}
	}
}

func TestManyLanesRefusals(t *testing.T) {
	for _, c := range []struct{ name, node, lanes, want string }{
		{"one queue on two cores", "", sharedLane(0, 1, 9000, "") + sharedLane(1, 2, 9000, "core = 2"),
			"lane[1].core: differs from lane[0]'s, but both use queue 0 of the order NIC; give the lane a queue of its own"},
		{"one link on two cores", "", sharedLane(0, 1, 9000, "core = 2") + sharedLane(1, 1, 9000, "queue = 1"),
			"lane[1].core: differs from lane[0]'s, but both use the link to node 1"},
		{"venue beside its gateway", "", strings.Replace(sharedLane(0, 1, 9000, ""), `app = "book"`, "app = \"gateway\"\nvenue = [{ name = \"v\", address = \"10.10.0.101\", port = 1, local_port = 2, session = \"6f9f0a52-5d1a-4d3f-9a34-0d6c5e9f1b01\", key = \"k\" }]", 1) + sharedLane(1, 2, 9000, ""),
			"lane[0].venue[0].address: is the address of lane[1]"},
		{"one UDP port", `transport = "udp"`, sharedLane(0, 1, 9000, "") + sharedLane(1, 2, 9000, ""),
			"lane[1].port: UDP port 10.10.0.3:9000 is already that of lane[0].port"},
		{"no such peer", "", sharedLane(0, 1, 9000, "") + sharedLane(1, 4, 9000, ""),
			"lane[1].peer: no [[link]] leads to node 4"},
	} {
		_, err := Parse("c.toml", []byte(fmt.Sprintf(shared, c.node)+c.lanes))
		if es, ok := errors.AsType[Errors](err); !ok || len(es) != 1 || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got\n%v\nwant %q", c.name, err, c.want)
		}
	}
}

// Everything that is wrong with several lanes is said at once, each at its place.
func TestAllLaneErrorsAtOnce(t *testing.T) {
	doc := fmt.Sprintf(shared, "") + sharedLane(0, 1, 9000, "silence = \"links\"") + sharedLane(0, 4, 9000, "core = 3")
	_, err := Parse("c.toml", []byte(doc))
	es, ok := errors.AsType[Errors](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	want := []string{"lane[0].silence", "lane[1].id", "lane[1].address", "lane[1].peer", "lane[1].core", "lane[1].session[0].id"}
	for i, e := range es {
		if i >= len(want) || e.Field != want[i] || e.Line < 20 || e.File != "c.toml" {
			t.Errorf("error %d is %v", i, e)
		}
	}
	if len(es) != len(want) {
		t.Errorf("%d errors, want %d", len(es), len(want))
	}
}
