package node

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"onebeat/bench/lab"
	"onebeat/engine/fix/cases"
)

// script is one of the QuickFIX engines' session scripts. Theirs are all of one client,
// TW; here each has a CompID of its own, so that they run side by side.
type script struct{ file, version, compID string }

// slow: it waits for heartbeats.
func (s *script) slow() bool {
	base := filepath.Base(s.file)
	return strings.HasPrefix(base, "4a_") || strings.HasPrefix(base, "6_")
}

func (s *script) run(at string) error {
	// A heartbeat of 6 s is as good as one of 2.
	return cases.Run(s.file, func() (net.Conn, error) { return net.Dial("tcp", at) }, "=TW\x01", "="+s.compID+"\x01", "\x01108=6\x01", "\x01108=2\x01")
}

// fixScripts are those of both versions, slow ones first.
func fixScripts(t *testing.T) (list []*script) {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/quickfixgo/quickfix").Output()
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(strings.TrimSpace(string(out)), "_test", "definitions")
	add := func(version, pattern string) {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, f := range files {
			list = append(list, &script{f, version, fmt.Sprintf("%c%c", 'A'+len(list)/26, 'A'+len(list)%26)})
		}
	}
	add("FIX.4.2", "server/fix42/*.def")
	add("FIX.4.4", "server/fix44/*.def")
	if len(list) != 117 {
		t.Fatalf("%d scripts", len(list))
	}
	add("FIX.4.4", "nextexpectedseqnum/fix44/2a_*.def")
	slices.SortStableFunc(list, func(a, b *script) int {
		switch {
		case a.slow() && !b.slow():
			return -1
		case b.slow() && !a.slow():
			return 1
		}
		return 0
	})
	return list
}

// scriptsAtOnce bounds those that run side by side.
const scriptsAtOnce = 24

// TestFIXScriptsAgainstANode runs the QuickFIX engines' session scripts, all of them, over
// TCP against a node with a standby, in echo mode.
func TestFIXScriptsAgainstANode(t *testing.T) {
	scripts := fixScripts(t)
	if testing.Short() {
		scripts = slices.DeleteFunc(scripts, (*script).slow)
	}
	text := fmt.Sprintf("[lane.fix]\nport = %d\nretain_messages = 64\nretain_size = \"64KiB\"\n", fixPort)
	for i, s := range scripts {
		text += fmt.Sprintf("[[lane.fix.session]]\nname = \"script-%d\"\nversion = %q\nsender_comp_id = \"ISLD\"\ntarget_comp_id = %q\napp = \"echo\"\nreset_on_logon = true\n", i, s.version, s.compID)
	}
	w := steadyUDP(t, setting{app: "book", calm: true, session: text})
	at := w.nodes[lab.NodeA].lanes[0].tcp[0].Addr().String()
	var running sync.WaitGroup
	places, done := make(chan struct{}, scriptsAtOnce), make(chan struct{})
	running.Go(func() {
		for _, s := range scripts {
			places <- struct{}{}
			running.Go(func() {
				defer func() { <-places }()
				if err := s.run(at); err != nil {
					t.Error(err)
				}
			})
		}
	})
	go func() { running.Wait(); close(done) }()
	for ended := false; !ended; {
		select {
		case <-done:
			ended = true
		default:
			w.step()
		}
	}
	w.sameState()
}

// TestPlacesOfANode: who is not configured gets a place, in both versions, and the
// standby knows whose it is.
func TestPlacesOfANode(t *testing.T) {
	w := steadyUDP(t, setting{app: "book", calm: true, session: fixLines("places = 2\napp = \"echo\"\nreset_on_logon = true")})
	at := w.nodes[lab.NodeA].lanes[0].tcp[0].Addr().String()
	for _, s := range fixScripts(t) {
		switch filepath.Base(s.file) {
		case "8_AdminAndApplicationMessages.def", "19a_PossResendMessageThatHAsAlreadyBeenSent.def", "2e_PossDupNotReceived.def":
		default:
			continue
		}
		w.beside(func() {
			if err := s.run(at); err != nil {
				t.Error(err)
			}
		})
	}
	w.sameState()
}
