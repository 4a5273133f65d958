package export

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"onebeat/bench/lab"
	"onebeat/bench/lab/labtest"
	"onebeat/bench/load"
	"onebeat/bench/scene"
	"onebeat/engine/fixp"
	"onebeat/engine/sbe"
	"onebeat/tools/config"
	"onebeat/tools/control"
	"onebeat/tools/node"
)

// nodeEnv makes the test's binary a node: a process to be killed.
const nodeEnv = "ONEBEAT_TEST_EXPORT_NODE"

func runNode(path string) error {
	cfg, err := config.Load(path)
	if err != nil {
		return err
	}
	return node.Run(context.Background(), cfg, node.Options{Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))})
}

// pair is a lane of two nodes that are processes in namespaces of their own.
type pair struct {
	t    *testing.T
	lab  *lab.Lab
	kill map[string]func()
}

func newPair(t *testing.T) *pair {
	p := &pair{t: t, lab: labtest.Up(t, lab.Switched), kill: map[string]func(){}}
	s := &scene.Scene{Lab: p.lab, LogLevel: "warn", LoopLines: "idle = \"backoff\"\nmax_sleep = \"1ms\"",
		NodeLines: fmt.Sprintf("[archive]\ndir = %q\nsegment_size = \"1MiB\"\n", filepath.Join(p.lab.RunDir, "archive")),
		Lanes:     scene.OneLane("book", "policy = \"mirrored\"\nwait = \"200ms\"\non_timeout = \"degrade\"\nheartbeat = \"200ms\"\nhang_budget = \"500ms\"\nring_size = \"4MiB\"\n")}
	must(t, s.Write())
	for _, place := range []string{lab.NodeA, lab.NodeB} {
		p.begin(place)
	}
	p.until(lab.NodeA, "ACTIVE")
	p.until(lab.NodeB, "STANDBY")
	return p
}

func (p *pair) begin(place string) {
	p.t.Helper()
	c := p.lab.Command(place, os.Args[0])
	c.Env = append(os.Environ(), nodeEnv+"="+scene.ConfigPath(p.lab, place))
	c.Stdout, c.Stderr = p.t.Output(), p.t.Output()
	must(p.t, c.Start())
	ended := make(chan struct{})
	go func() {
		_ = c.Wait() // it is killed
		close(ended)
	}()
	p.kill[place] = func() {
		_ = c.Process.Kill()
		<-ended
	}
	p.t.Cleanup(p.kill[place])
}

func (p *pair) lane(place string) (l control.LaneStatus) {
	var s control.Status
	if control.Call(control.SocketPath(p.lab.RunDir, place), control.Request{Cmd: control.CmdStatus}, &s, time.Second) == nil && len(s.Lanes) == 1 {
		l = s.Lanes[0]
	}
	return l
}

func (p *pair) until(place, state string) {
	p.t.Helper()
	eventually(p.t, place+" "+state, func() bool { return p.lane(place).State == state })
}

// load sends orders until it has sent them for so long, and returns how many were
// accepted.
func (p *pair) load(rate int, span time.Duration) (accepted <-chan int64) {
	var id config.UUID
	must(p.t, id.UnmarshalText([]byte(scene.Session(0))))
	o := load.Options{Transport: load.TransportUDP, Local: netip.AddrPortFrom(netip.AddrFrom4(lab.OrderIP(lab.Client)), 40000),
		Targets: []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4(lab.LaneAddress(0)), scene.LanePort)}, Session: sbe.UUID(id),
		Key: fixp.NewKey(scene.Credentials), RatePerSecond: rate, Duration: span, Drain: 20 * time.Second, Resend: 50 * time.Millisecond}
	done := make(chan int64, 1)
	go func() {
		var r *load.Result
		err := p.lab.Do(lab.Client, func() (err error) {
			r, err = load.Run(o, nil)
			return err
		})
		if err != nil {
			p.t.Error(err)
			done <- -1
			return
		}
		if r.Unanswered > 0 || r.Sent != r.Accepted {
			p.t.Errorf("%d orders sent, %d accepted, %d unanswered", r.Sent, r.Accepted, r.Unanswered)
		}
		done <- r.Accepted
	}()
	return done
}

// TestFailoverUnderAnExporter: exporters of both nodes' logs run while one primary is
// killed and, once it is back, the other. Both hold the same in the end, which is what an
// exporter makes of the whole log in one go, and each order that was accepted once.
func TestFailoverUnderAnExporter(t *testing.T) {
	if testing.Short() {
		t.Skip("kills nodes and waits for servers")
	}
	labtest.NeedRoot(t)
	pg, rd := startPostgres(t), startRedis(t)
	p := newPair(t)
	file := func(place, name string) string {
		path := filepath.Join(p.lab.RunDir, name+".toml")
		text := fmt.Sprintf("[export]\nname = %q\nnode_config = %q\nrun_dir = %q\n", name, scene.ConfigPath(p.lab, place), p.lab.RunDir) +
			postgresSection(pg.dir, name) + redisSection(rd.dir, name)
		must(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	names := map[string]string{lab.NodeA: "beside_a", lab.NodeB: "beside_b"}
	var running []*running
	for place, name := range names {
		running = append(running, start(t, file(place, name)))
	}
	exported := func(records uint64) func() bool {
		return func() bool {
			for _, x := range running {
				if x.feed(KindPostgres).Records < records || x.feed(KindRedis).Records < records {
					return false
				}
			}
			return true
		}
	}
	accepted := p.load(1000, 2500*time.Millisecond)
	eventually(t, "records at both exporters", exported(300))
	primary, standby := lab.NodeA, lab.NodeB
	for range 2 {
		p.kill[primary]()
		p.until(standby, "ACTIVE")
		p.begin(primary)
		p.until(primary, "STANDBY")
		primary, standby = standby, primary
	}
	orders := <-accepted
	tail := p.lane(primary).Tail
	eventually(t, "the whole log on both disks", func() bool {
		a, b := p.lane(lab.NodeA), p.lane(lab.NodeB)
		return a.Tail == tail && b.Tail == tail && a.Archive != nil && a.Archive.End == tail && b.Archive.End == tail
	})
	eventually(t, "all of it at both exporters", func() bool {
		a, b := tables(t, pg.dir, "beside_a_lane0")["mark"], tables(t, pg.dir, "beside_b_lane0")["mark"]
		return len(a) == 1 && len(b) == 1 && a[0] == b[0]
	})
	before := tables(t, pg.dir, "beside_a_lane0")
	for _, x := range running {
		x.stop()
	}
	once(t, file(lab.NodeA, "whole"))
	for _, name := range names {
		same(t, tables(t, pg.dir, name+"_lane0"), tables(t, pg.dir, "whole_lane0"))
		same(t, keysOf(t, rd.dir, name+":lane0"), keysOf(t, rd.dir, "whole:lane0"))
	}
	if n := int64(len(before["orders"])); n != orders || orders < 1000 {
		t.Errorf("%d orders accepted, %d exported", orders, n)
	}
	t.Logf("%d orders, %d executions, epoch %d", orders, len(before["executions"]), p.lane(primary).Epoch)
}
