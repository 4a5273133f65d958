package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const fenceFile = `[node]
name = "n"
number = 1
transport = "udp"
[order]
address = "127.0.0.1"
[[link]]
peer = 2
address = "127.0.0.1"
peer_address = "127.0.0.2"
auth = false
[[lane]]
id = 0
address = "127.0.0.1"
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
[[fence]]
peer = 2
agent = %q
tries = 1
timeout = "5s"
[[fence]]
peer = 2
agent = %q
tries = 1
timeout = "5s"
`

// TestFenceCommand: two devices of one peer, of which the first refuses.
func TestFenceCommand(t *testing.T) {
	dir := t.TempDir()
	agent := func(name, off string) string {
		path := filepath.Join(dir, name)
		text := `#!/bin/sh
case $(sed -n 's/^action=//p') in
metadata) echo '<resource-agent name="x"><parameters/><actions><action name="off"/><action name="on"/><action name="status"/><action name="monitor"/></actions></resource-agent>';;
off) ` + off + `;;
on) rm -f ` + dir + `/off;;
status) [ -e ` + dir + `/off ] && exit 2; exit 0;;
esac
`
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file := filepath.Join(dir, "n.toml")
	text := fmt.Sprintf(fenceFile, agent("fence_first", "echo refused; exit 1"), agent("fence_second", "touch "+dir+"/off"))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(action string) (string, error) {
		var out bytes.Buffer
		root := newRoot()
		root.SetOut(&out)
		root.SetArgs([]string{"fence", "--config", file, action})
		err := root.Execute()
		return out.String(), err
	}
	for _, step := range []struct {
		action, want string
		err          error
	}{
		{"monitor", "node 2 by fence_first: answers\nnode 2 by fence_second: answers\n", nil},
		{"status", "node 2 by fence_first: on\nnode 2 by fence_second: on\n", nil},
		{"off", "node 2 by fence_first: failed\nnode 2 by fence_second: off\n", nil},
		{"status", "node 2 by fence_first: off\nnode 2 by fence_second: off\n", errPowerOff},
		{"on", "node 2 by fence_first: on\nnode 2 by fence_second: on\n", nil},
		{"status", "node 2 by fence_first: on\nnode 2 by fence_second: on\n", nil},
	} {
		out, err := run(step.action)
		if out != step.want || !errors.Is(err, step.err) {
			t.Errorf("%s: %q, %v", step.action, out, err)
		}
	}
	if _, err := run("reboot"); err == nil || !strings.Contains(err.Error(), "invalid argument") {
		t.Errorf("got %v", err)
	}
}
