package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// opsBase are sections with nothing wrong; tests replace lines of them.
const opsBase = `[[fence]]
peer = 2
agent = "fence_ipmilan"
options = ["ip=10.0.0.12", "lanplus=1"]
[[track]]
name = "db"
script = "/usr/local/bin/check-db"
args = ["-q"]
weight = 60
[[track]]
name = "uplink"
interface = "eth1"
[[track]]
name = "feed"
process = "feedd"
[predict]
handover_at = 90
[[hook]]
path = "/usr/local/bin/page"
on = "all"
`

func TestOpsSections(t *testing.T) {
	c, err := Parse("x.toml", []byte(base+opsBase))
	if err != nil {
		t.Fatal(err)
	}
	if f := c.Fences[0]; f.Peer != 2 || len(f.Options) != 2 || f.Tries != 2 || f.Timeout.Ns() != 20*time.Second.Nanoseconds() {
		t.Errorf("%+v", f)
	}
	if db, up := c.Tracks[0], c.Tracks[1]; db.Weight != 60 || db.Rise != 2 || db.Fall != 3 || up.Weight != 100 || up.Rise != 1 || up.Fall != 1 {
		t.Errorf("%+v", c.Tracks)
	}
	if p := c.Predict; p.HandoverAt != 90 || p.ClearAt != 60 || p.MinInterval.Ns() != 10*time.Second.Nanoseconds() {
		t.Errorf("%+v", p)
	}
	if h := c.Hooks[0]; h.On != "all" || h.Timeout.Ns() != 5*time.Second.Nanoseconds() {
		t.Errorf("%+v", h)
	}
	if c.Order.AddressProbe == 0 {
		t.Error("no address probe by default")
	}
	plain, err := Parse("x.toml", []byte(base))
	if err != nil || plain.Predict != nil || len(plain.Hooks) != 0 {
		t.Errorf("%+v, %v", plain, err)
	}
}

func TestOpsRefusals(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"fence itself", "peer = 2\nagent", "peer = 1\nagent", "fence[0].peer: is this node's own number"},
		{"fence a stranger", "peer = 2\nagent", "peer = 7\nagent", "fence[0].peer: no lane has the peer 7"},
		{"option", `"lanplus=1"`, `"lanplus"`, `fence[0].options[1]: "lanplus" is not of the form "name=value"; write it like`},
		{"credential", `"lanplus=1"`, `"password=hunter2"`, "fence[0].options[1]: password is a credential; write it into the file that secrets_file names"},
		{"absent secrets", `agent =`, "secrets_file = \"/nowhere/x\"\nagent =", "fence[0].secrets_file: stat /nowhere/x"},
		{"fence timeout", `agent =`, "timeout = \"1ms\"\nagent =", "fence[0].timeout: 1ms is out of range; use 100ms to 5m"},
		{"nothing to track", "process = \"feedd\"\n", "", "track[2]: looks at 0 things; give exactly one of"},
		{"two things", "process = \"feedd\"\n", "process = \"feedd\"\ninterface = \"eth0\"\n", "track[2]: looks at 2 things"},
		{"track twice", `name = "feed"`, `name = "db"`, `track[2].name: "db" is already the name of track[0]`},
		{"rise of an interface", `interface = "eth1"` + "\n[[track]]", `interface = "eth1"` + "\nrise = 3\n[[track]]", "track[1].rise: has no use with an interface"},
		{"timeout of a process", `process = "feedd"`, "process = \"feedd\"\ntimeout = \"1s\"", "track[2].timeout: has no use without a script"},
		{"relative script", "/usr/local/bin/check-db", "check-db", "track[0].script: \"check-db\" is not an absolute path"},
		{"weight", "weight = 60", "weight = 0", "track[0].weight: 0 is out of range"},
		{"clear", "handover_at = 90", "handover_at = 60", "predict.clear_at: 60 is not below handover_at = 60"},
		{"fence without a device", "[[fence]]\npeer = 2", "[[fence]]\npeer = 3", "fence[0].peer: no lane has the peer 3"},
		{"hook path", "/usr/local/bin/page", "page", "hook[0].path: \"page\" is not an absolute path"},
		{"hook on", `on = "all"`, `on = "some"`, "hook[0].on: \"some\" is not known; use one of role, all"},
	} {
		doc := strings.Replace(base+opsBase, c.old, c.new, 1)
		if doc == base+opsBase {
			t.Fatalf("%s: nothing replaced", c.name)
		}
		_, err := Parse("x.toml", []byte(doc))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s:\n got %v\nwant %s", c.name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s prints a credential: %v", c.name, err)
		}
	}
}

func TestSecretsFileIsBesideTheFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.toml")
	doc := strings.Replace(base+opsBase, "agent =", "secrets_file = \"bmc\"\nagent =", 1)
	write := func(mode os.FileMode) error {
		if err := os.WriteFile(filepath.Join(dir, "bmc"), []byte("password=hunter2\n"), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, "bmc"), mode); err != nil {
			t.Fatal(err)
		}
		_, err := Parse(path, []byte(doc))
		return err
	}
	if err := write(0o600); err != nil {
		t.Error(err)
	}
	if err := write(0o640); err == nil || !strings.Contains(err.Error(), "others could read the secrets; chmod 600") {
		t.Error(err)
	}
}

func TestArbitrationFence(t *testing.T) {
	doc := strings.Replace(base, "app = \"gateway\"", "app = \"gateway\"\narbitration = \"fence\"", 1)
	c, err := Parse("x.toml", []byte(doc+opsBase))
	if err != nil || c.Lanes[0].Registered() {
		t.Fatalf("%v", err)
	}
	for _, x := range []struct{ doc, want string }{
		{doc, "lane[0].arbitration: fence, but no [[fence]] of node 2; add [[fence]]"},
		{strings.Replace(doc, "arbitration =", "silence = \"links\"\narbitration =", 1) + opsBase, "lane[0].silence: links is for arbitration"},
	} {
		if _, err := Parse("x.toml", []byte(x.doc)); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("got %v, want %s", err, x.want)
		}
	}
}

// TestCommentedExample: what example-a.toml shows as comments is a configuration.
func TestCommentedExample(t *testing.T) {
	path := withKey(t, "example-a.toml")
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, ops, ok := strings.Cut(string(doc), "# What follows is optional")
	if !ok {
		t.Fatal("the optional sections are gone")
	}
	_, ops, _ = strings.Cut(ops, "\n")
	lines := strings.Split(ops, "\n")
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], "# ")
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "node-b.bmc"), []byte("password=x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	before = strings.Replace(before, "arbitration = \"pair\"", "arbitration = \"fence\"", 1)
	c, err := Parse(path, []byte(before+strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Fences) != 1 || len(c.Tracks) != 1 || len(c.Hooks) != 1 || c.Predict == nil {
		t.Errorf("%+v", c)
	}
	// What it calls the defaults are the defaults.
	if *c.Predict != DefaultPredict() {
		t.Errorf("%+v", c.Predict)
	}
}
