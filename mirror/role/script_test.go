package role

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"onebeat/mirror/arbiter"
	"onebeat/mirror/lane"
	"onebeat/mirror/wire"
)

var rewrite = flag.Bool("rewrite", false, "write what the scripts' machines do as what is expected")

// A script is a story: lines without indent are events for node 1, indented
// lines are what the machine does. `go test ./mirror/role -rewrite` writes the
// indented ones anew.
//
//	machine [first] [alone] [registered]   node 1, incarnation 11; peer node 2, incarnation 22
//	start [word] [record] [tail] [hollow]           word: epoch/STATE
//	hello word record tail [knows] [out] [cut N] [inc N] [echoed N]
//	word word [why]        swapfailed word
//	granted    refused reason   caughtup record tail    ready    acktimeout
//	handover [quit]   drained   tookover epoch   tick ns [silent] [sent N] [echoed N]
//	lost   restored record tail
//	register record [boot N]   unknown [boot N] [sent N]   again reason   force who and why
//
// A record is written epoch:members, the writer first (3:12, 4:1); 0 for none.
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
	var m *Machine
	nowNs := int64(0)
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
		if words[0] == "machine" {
			cfg := Config{Self: lane.Member{Node: 1, Incarnation: 11}, PeerNode: 2, AgainNs: 100, ReadNs: 800}
			for _, w := range words[1:] {
				cfg.First = cfg.First || w == "first"
				cfg.Registered = cfg.Registered || w == "registered"
				if w == "alone" {
					cfg.PeerNode = 0
				}
			}
			m = New(cfg)
			continue
		}
		nowNs++
		e := parseEvent(t, words, m)
		if e.Kind == Tick {
			fmt.Sscan(words[1], &nowNs)
		}
		for _, f := range m.Step(e, nowNs) {
			fmt.Fprintf(&out, "  %v\n", f)
		}
		fmt.Fprintf(&out, "  = %v\n", m.Word())
	}
	return out.Bytes()
}

func parseEvent(t *testing.T, words []string, m *Machine) (e Event) {
	arg := func(i int) string {
		if i < len(words) {
			return words[i]
		}
		return ""
	}
	switch words[0] {
	case "start":
		e = Event{Kind: Start, Word: parseWord(t, arg(1)), Record: parseRecord(arg(2)), Why: lane.WhyFenced, Hollow: arg(4) == "hollow"}
		fmt.Sscan(arg(3), &e.Tail)
		e.LastEpoch = e.Record.Epoch
	case "hello":
		h := wire.Hello{Incarnation: 22, Authority: parseWord(t, arg(1)), Record: parseRecord(arg(2)), CutAt: wire.NoCut}
		h.LastEpoch, h.CutFor = h.Record.Epoch, m.lastEpoch
		fmt.Sscan(arg(3), &h.Tail)
		for i := 4; i < len(words); i++ {
			switch words[i] {
			case "knows":
				h.PeerIncarnation = 11
			case "out":
				h.Want = wire.WantOut
			case "cut":
				fmt.Sscan(words[i+1], &h.CutAt)
			case "inc":
				fmt.Sscan(words[i+1], &h.Incarnation)
			case "echoed":
				fmt.Sscan(words[i+1], &e.Echoed)
			}
		}
		e = Event{Kind: PeerHello, Hello: h, Tail: m.tail, Echoed: e.Echoed}
	case "word", "swapfailed":
		e = Event{Kind: WordChanged, Word: parseWord(t, arg(1)), Why: lane.WhyFenced}
		if words[0] == "swapfailed" {
			e.Kind = SwapFailed
		}
		if arg(2) == "silent" {
			e.Why = lane.WhySilent
		}
	case "granted":
		e = Event{Kind: Answered, Answer: arbiter.Answer{Granted: true, Record: m.asked.Next, Boot: m.register.boot}}
	case "refused":
		e = Event{Kind: Answered, Answer: arbiter.Answer{Reason: strings.Join(words[1:], " ")}}
	case "again":
		e = Event{Kind: Answered, Answer: arbiter.Answer{Reason: strings.Join(words[1:], " "), Again: true}}
	case "register":
		e = Event{Kind: Answered, Answer: arbiter.Answer{Record: parseRecord(arg(1)), Boot: 7}}
		options(words, map[string]*uint64{"boot": &e.Answer.Boot})
	case "unknown":
		e = Event{Kind: Answered, Answer: arbiter.Answer{Unknown: true, Boot: 7}}
		options(words, map[string]*uint64{"boot": &e.Answer.Boot, "sent": &e.Sent})
	case "force":
		e = Event{Kind: Forced, By: strings.Join(words[1:], " ")}
	case "caughtup":
		e = Event{Kind: CaughtUp, Record: parseRecord(arg(1))}
		fmt.Sscan(arg(2), &e.Tail)
		e.LastEpoch = e.Record.Epoch
	case "lost":
		e.Kind = StateLost
	case "restored":
		e = Event{Kind: Restored, Record: parseRecord(arg(1))}
		fmt.Sscan(arg(2), &e.Tail)
		e.LastEpoch = e.Record.Epoch
	case "ready":
		e.Kind = StandbyReady
	case "acktimeout":
		e.Kind = AckTimeout
	case "handover":
		e = Event{Kind: HandoverRequested, Quit: arg(1) == "quit"}
	case "drained":
		e.Kind = Drained
	case "tookover":
		e.Kind = PeerTookOver
		fmt.Sscan(arg(1), &e.Epoch)
	case "tick":
		e.Kind = Tick
		e.Silent = arg(2) == "silent"
		options(words, map[string]*uint64{"sent": &e.Sent, "echoed": &e.Echoed})
	default:
		t.Fatalf("unknown event %q", words[0])
	}
	return e
}

// options reads the numbers behind the words that are named.
func options(words []string, named map[string]*uint64) {
	for i, w := range words[:len(words)-1] {
		if p := named[w]; p != nil {
			fmt.Sscan(words[i+1], p)
		}
	}
}

func parseWord(t *testing.T, s string) lane.Word {
	if s == "" {
		return 0
	}
	var epoch uint32
	var name string
	fmt.Sscan(strings.Replace(s, "/", " ", 1), &epoch, &name)
	for st := range lane.State(lane.StateCount) {
		if st.String() == name {
			return lane.MakeWord(epoch, st)
		}
	}
	t.Fatalf("word %q", s)
	return 0
}

func parseRecord(s string) (r lane.Record) {
	epoch, members, ok := strings.Cut(s, ":")
	if !ok {
		return r
	}
	fmt.Sscan(epoch, &r.Epoch)
	for i, c := range members {
		node := uint8(c - '0')
		r.Set[i] = lane.Member{Node: node, Incarnation: uint64(node) * 11}
	}
	r.Writer = r.Set[0].Node
	return r
}
