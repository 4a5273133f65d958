package recv

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"onebeat/mirror/lane"
	"onebeat/mirror/wire"
)

var rewrite = flag.Bool("rewrite", false, "write what the receiver does as what the scripts expect")

// A script is a story: lines without indent happen to the node, indented lines
// say what it did. `go test ./mirror/recv -rewrite` writes the latter anew.
//
//	node STATE [silence]      a node in epoch 5; silence: configured to promote
//	TYPE STATE [key N ...]    a frame of the peer, which is in STATE; keys: epoch,
//	                          position, records, tail, output, ride, to, replay
//	tick N [working]          N ticks of the timer, the engine working or not
//	engine gone|back          its socket
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			want, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			got := runScript(t, want)
			if *rewrite {
				if err := os.WriteFile(f, got, 0o644); err != nil {
					t.Fatal(err)
				}
			} else if !bytes.Equal(got, want) {
				t.Errorf("got:\n%s", got)
			}
		})
	}
}

func runScript(t *testing.T, script []byte) []byte {
	var out bytes.Buffer
	var n *node
	now := int64(1000)
	for lines := bufio.NewScanner(bytes.NewReader(script)); lines.Scan(); {
		line := lines.Text()
		if strings.HasPrefix(line, "  ") {
			continue
		}
		fmt.Fprintln(&out, line)
		words := strings.Fields(line)
		if len(words) == 0 || line[0] == '#' {
			continue
		}
		switch words[0] {
		case "node":
			n = newNode(t, lane.MakeWord(5, stateNamed(t, words[1])))
			if len(words) > 2 {
				n.table.Config.Flags |= lane.ConfigSilencePromotes
			}
			continue
		case "engine":
			n.gone = words[1] == "gone"
			continue
		case "tick":
			count := 0
			fmt.Sscan(words[1], &count)
			for range count {
				now += 100
				if len(words) > 2 {
					n.table.Engine.ProgressNs = uint64(now)
				}
				n.Tick(now)
			}
			fmt.Fprintf(&out, "  %v, stuck %d, silent %d\n", lane.Load(n.word), n.table.Watch.StuckTicks, n.table.Watch.SilentTicks)
			continue
		}
		v, bytes, reason := n.Step(scriptFrame(t, n, words), now, n.reply[:])
		fmt.Fprintf(&out, "  %v: %v; %v, tail %d", v, reason, lane.Load(n.word), n.ring.Tail())
		if v == Answer {
			var h wire.Header
			h.Parse(n.reply[FrameHeaderBytes:bytes])
			fmt.Fprintf(&out, "; says %v %v, tail %d, flags %d, ride %d", h.Type, h.Authority, h.Tail, h.Flags, h.RideBytes)
		}
		fmt.Fprintln(&out)
	}
	return out.Bytes()
}

func stateNamed(t *testing.T, name string) lane.State {
	for s := range lane.State(lane.StateCount) {
		if s.String() == name {
			return s
		}
	}
	t.Fatalf("state %q", name)
	return 0
}

func scriptFrame(t *testing.T, n *node, words []string) []byte {
	var typ wire.Type
	for typ = wire.Mirror; typ.String() != words[0]; typ++ {
		if typ > wire.HelloFrame {
			t.Fatalf("frame %q", words[0])
		}
	}
	arg := map[string]uint64{"epoch": 5}
	for i := 2; i+1 < len(words); i += 2 {
		v := uint64(0)
		fmt.Sscan(words[i+1], &v)
		arg[words[i]] = v
	}
	h := n.header(typ, lane.MakeWord(uint32(arg["epoch"]), stateNamed(t, words[1])))
	h.Position, h.Tail, h.Output, h.Successor = arg["position"], arg["tail"], arg["output"], uint32(arg["to"])
	if arg["replay"] != 0 {
		h.Counter = 1
	}
	var body []byte
	if arg["records"] > 0 {
		body = records(t, h.Position, int(arg["records"]))
	}
	return n.seal(h, body, make([]byte, arg["ride"]))
}
