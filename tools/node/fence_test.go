package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"onebeat/bench/lab"
	"onebeat/mirror/lane"
	"onebeat/tools/config"
)

// fenceAgent is an agent whose device is a directory: an off that finds a file
// `dead` ends with it, and then the power is gone.
func fenceAgent(t *testing.T) (agent, dir string) {
	t.Helper()
	dir = t.TempDir()
	agent = filepath.Join(dir, "fence_test")
	text := `#!/bin/sh
action=$(sed -n 's/^action=//p')
echo $action >> ` + dir + `/actions
cd ` + dir + `
case $action in
metadata) echo '<resource-agent name="fence_test"><parameters/><actions><action name="off"/><action name="on"/><action name="status"/><action name="monitor"/></actions></resource-agent>';;
off) [ -e broken ] && exit 1; touch off;;
status) [ -e off ] && exit 2; exit 0;;
esac
`
	if err := os.WriteFile(agent, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return agent, dir
}

func fenceSetting(agent string) setting {
	return setting{app: "book", extra: "arbitration = \"fence\"",
		link: fmt.Sprintf("[[fence]]\npeer = $PEER\nagent = %q\ntimeout = \"5s\"\n", agent)}
}

func count(t *testing.T, dir, action string) int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "actions"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(b), action+"\n")
}

// cables pulls, or plugs in again, a node's two cables.
func (w *world) cables(place string, up bool) {
	w.t.Helper()
	for _, nic := range []string{lab.LinkNIC, lab.OrderNIC} {
		if err := w.lab.SetCarrier(place, nic, up); err != nil {
			w.t.Fatal(err)
		}
	}
}

// A host that says nothing any more is taken over once its power is off, and
// not a moment before.
func TestSilentHostIsFencedAndTakenOver(t *testing.T) {
	agent, dir := fenceAgent(t)
	broken := filepath.Join(dir, "broken")
	if err := os.WriteFile(broken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w := steady(t, fenceSetting(agent))
	w.cables(lab.NodeA, false) // nothing of it says a last word
	w.kill(lab.NodeA)
	w.cleanup(lab.NodeA)
	w.untilState(lab.NodeB, lane.Candidate)
	w.until("the device fails", func() bool { return w.nodes[lab.NodeB].fenceStatus()[0].LastError != "" })
	for deadline := time.Now().Add(200 * time.Millisecond); time.Now().Before(deadline); w.step() {
		if s := w.word(lab.NodeB).State(); s != lane.Candidate {
			t.Fatalf("%v although the peer has power", s)
		}
	}
	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	w.untilState(lab.NodeB, lane.Active)
	w.orders(100)
	w.checkOnce()
	if s := w.nodes[lab.NodeB].fenceStatus()[0]; s.Successes != 1 || s.Attempts < 2 || count(t, dir, "off") < 3 {
		t.Errorf("%+v, %d offs", s, count(t, dir, "off"))
	}
}

// The cable is cut and comes back while the device fails: nobody was fenced, so
// the writer goes on and the other follows it again.
func TestCableThatComesBackEndsTheClaim(t *testing.T) {
	agent, dir := fenceAgent(t)
	if err := os.WriteFile(filepath.Join(dir, "broken"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w := steady(t, fenceSetting(agent))
	w.cables(lab.NodeA, false)
	w.untilState(lab.NodeB, lane.Candidate)
	w.until("an attempt", func() bool { return w.nodes[lab.NodeB].fenceStatus()[0].LastError != "" })
	w.cables(lab.NodeA, true)
	w.until("one writer, one standby", func() bool {
		return w.word(lab.NodeA).State() == lane.Active && w.word(lab.NodeB).State() == lane.Standby
	})
	w.orders(100)
	w.checkOnce()
	if w.nodes[lab.NodeB].fenceStatus()[0].Successes != 0 {
		t.Error("the writer was fenced")
	}
}

// A broken agent or check is refused at the start.
func TestBadOpsAreRefusedAtTheStart(t *testing.T) {
	for _, c := range []struct{ section, want string }{
		{"[[fence]]\npeer = %d\nagent = \"fence_nowhere\"\n", "[[fence]] of node 2: fence agent fence_nowhere is not installed"},
		{"[[track]]\nname = \"peer%d\"\nscript = \"/nowhere/check\"\n", "track peer2: stat /nowhere/check"},
		{"[[hook]]\npath = \"/nowhere/hook%d\"\n", "hook: stat /nowhere/hook2"},
	} {
		doc := fmt.Sprintf(badOps, t.TempDir()) + fmt.Sprintf(c.section, 2)
		cfg, err := config.Parse("x.toml", []byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		n, err := Open(context.Background(), cfg, Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
		if err == nil {
			n.Close()
		}
	}
}

const badOps = `[node]
name = "n"
number = 1
transport = "udp"
run_dir = %q
[order]
address = "127.77.1.1"
[[link]]
peer = 2
address = "127.77.1.1"
peer_address = "127.77.1.2"
auth = false
[[lane]]
id = 0
address = "127.77.1.1"
port = 9000
peer = 2
app = "book"
[[lane.session]]
id = "6f9f0a52-5d1a-4d3f-9a34-0d6c5e9f1a01"
name = "c"
key = "k"
[[lane.symbol]]
id = 1
name = "S"
`
