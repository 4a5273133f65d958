package export

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"onebeat/engine/app"
	"onebeat/engine/readmodel/flow"
	"onebeat/engine/sbe"
	"onebeat/mirror/archive"
	"onebeat/mirror/disk"
	"onebeat/mirror/lane"
	"onebeat/mirror/reader"
	"onebeat/mirror/ring"
	"onebeat/mirror/ringfile"
	"onebeat/mirror/snapshot"
	"onebeat/tools/config"
	"onebeat/tools/node"
)

// childEnv makes the test's binary an exporter: a process to be killed.
const childEnv = "ONEBEAT_TEST_EXPORT"

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		cfg, err := config.LoadExport(path)
		if err == nil {
			err = Run(context.Background(), cfg, Options{Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if path := os.Getenv(nodeEnv); path != "" {
		fmt.Fprintln(os.Stderr, runNode(path))
		os.Exit(1)
	}
	code := m.Run()
	if newCluster != "" {
		os.RemoveAll(newCluster)
	}
	os.Exit(code)
}

const (
	nodeHead = `[node]
name = "n"
number = 1
transport = "udp"
run_dir = "DIR/run"
[order]
address = "127.0.0.1"
[archive]
dir = "DIR/archive"
segment_size = "1MiB"
[[lane]]
id = 3
address = "127.0.0.1"
port = 9000
first = true
ring_size = "1MiB"
`
	gatewayTail = `app = "gateway"
[[lane.venue]]
name = "exchange"
address = "127.0.0.9"
port = 9001
local_port = 9002
session = "6f9f0a52-5d1a-4d3f-9a34-0d6c5e9f1aff"
key = "v"
[lane.risk]
max_qty_lots = 28
`
	bookTail = `app = "book"
`
	clients = `[[lane.session]]
id = "6f9f0a52-5d1a-4d3f-9a34-0d6c5e9f1a01"
name = "alice"
key = "k"
[[lane.session]]
id = "6f9f0a52-5d1a-4d3f-9a34-0d6c5e9f1a02"
name = "bob"
key = "k"
[[lane.symbol]]
id = 7
name = "S"
reference_price_ticks = 1000
[[lane.symbol]]
id = 8
name = "T"
reference_price_ticks = 1000
`
)

// lane is a log that grows in an archive.
type laneLog struct {
	t        testing.TB
	dir      string
	flow     *flow.Flow
	state    *node.Replay
	mem      *ringfile.File
	ring     *ring.Ring
	follower *archive.Follower
	last     app.Record // without its payload
	records  atomic.Int64
	nowNs    int64
}

// newLane writes a node's file and begins the log of its lane.
func newLane(t testing.TB, gateway bool, seed uint64) *laneLog {
	t.Helper()
	l := &laneLog{t: t, dir: t.TempDir()}
	tail := bookTail
	if gateway {
		tail = gatewayTail
	}
	text := strings.ReplaceAll(nodeHead+tail+clients, "DIR", l.dir)
	path := filepath.Join(l.dir, "node.toml")
	must(t, os.WriteFile(path, []byte(text), 0o644))
	cfg, err := config.Load(path)
	must(t, err)
	l.flow, err = flow.New(flow.Shape{Seed: seed, Sessions: 2, Symbols: []uint32{7, 8}, Accounts: 3, Gateway: gateway, Epochs: true, PriceTicks: 1000})
	must(t, err)
	state, err := node.NewReplay(&cfg.Lanes[0], l.flow.Watch)
	must(t, err)
	l.flow.Use(state)
	l.state = state
	const ringBytes = 1 << 20
	l.mem, err = ringfile.Open(ringfile.Path(filepath.Join(l.dir, "run"), "n", 3), ringBytes)
	must(t, err)
	t.Cleanup(func() { l.mem.Close() })
	l.mem.Table.Config.Incarnation = 5
	l.ring, err = ring.New(l.mem.Ring, ringBytes, &l.mem.Table.Tail)
	must(t, err)
	l.ring.ShareCuts(&l.mem.Table.Cuts)
	l.mem.Table.SetCommit(lane.CommitTail)
	l.open()
	return l
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (l *laneLog) open() {
	f, err := archive.NewFollower(archive.Options{Dir: archive.LaneDir(filepath.Join(l.dir, "archive"), "n", 3), Lane: 3, Node: 1, Incarnation: 5,
		SegmentBytes: 1 << 20, Shared: &l.mem.Table.Archive, Wall: func() int64 { return 1 }}, l.ring)
	must(l.t, err)
	l.follower = f
	l.t.Cleanup(func() { f.Close() })
}

// grow appends records and archives them.
func (l *laneLog) grow(records int) {
	for range records {
		rec := l.flow.Next()
		at, end, ok := l.ring.Append(rec.Type, rec.Epoch, rec.TimeNs, rec.Payload)
		if !ok {
			l.t.Fatal("the ring takes no record")
		}
		l.flow.Appended(end)
		l.last = app.Record{Position: at, Epoch: rec.Epoch, TimeNs: rec.TimeNs}
		l.records.Add(1)
		if l.ring.Tail()-l.follower.Archived() > 128<<10 {
			l.archive()
		}
	}
	l.archive()
}

func (l *laneLog) archive() {
	for l.follower.Archived() < l.ring.Tail() {
		l.nowNs += 1e9
		l.follower.Step(l.nowNs)
	}
}

// save keeps the lane's state beside the archive, as a node does.
func (l *laneLog) save() error {
	dir := archive.LaneDir(filepath.Join(l.dir, "archive"), "n", 3)
	store, err := snapshot.Open(disk.OS{}, snapshot.Dir(dir), 2)
	if err != nil {
		return err
	}
	log, err := (&place{c: reader.Config{Archive: dir, Uncommitted: true}}).open()
	if err != nil {
		return err
	}
	_, err = store.Write(snapshot.Header{Lane: 3, Node: 1, Schema: uint32(sbe.SchemaVersion), Identity: log.identity, Position: l.ring.Tail(), Last: l.last.Position,
		Epoch: l.last.Epoch, TimeNs: l.last.TimeNs, Records: uint64(l.records.Load()), Digest: l.state.Digest(), App: "gateway"}, l.state.Save)
	return errors.Join(err, log.close())
}

// forget removes the oldest files of the archive.
func (l *laneLog) forget() {
	l.t.Helper()
	files, err := filepath.Glob(filepath.Join(archive.LaneDir(filepath.Join(l.dir, "archive"), "n", 3), "*.seg"))
	must(l.t, err)
	if len(files) < 3 {
		l.t.Fatalf("%d segments are too few to lose one", len(files))
	}
	must(l.t, os.Remove(files[0]))
	must(l.t, os.Remove(strings.TrimSuffix(files[0], ".seg")+".idx"))
}

// config writes an exporter's file.
func (l *laneLog) config(name, sections string) string {
	l.t.Helper()
	path := filepath.Join(l.dir, name+".toml")
	text := fmt.Sprintf("[export]\nname = %q\nnode_config = \"node.toml\"\nrun_dir = %q\nbatch = 3000\n", name, filepath.Join(l.dir, "run")) + sections
	must(l.t, os.WriteFile(path, []byte(text), 0o644))
	return path
}

func postgresSection(dir, schema string) string {
	return fmt.Sprintf("[postgres]\nurl = %q\nschema = %q\ntimeout = \"10s\"\n", postgresURL(dir), schema)
}

func redisSection(dir, prefix string) string {
	return fmt.Sprintf("[redis]\nurl = %q\nprefix = %q\ntimeout = \"10s\"\nexecutions = 0\nfinished_for = \"0s\"\n", redisURL(dir), prefix)
}

func silent() *slog.Logger { return slog.New(slog.DiscardHandler) }

func loud() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// once exports what the log holds.
func once(t *testing.T, path string) {
	t.Helper()
	must(t, run(path, Options{Once: true}))
}

func run(path string, o Options) error {
	cfg, err := config.LoadExport(path)
	if err != nil {
		return err
	}
	if o.Log == nil {
		o.Log = loud()
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), time.Minute, errors.New("not within a minute"))
	defer cancel()
	return errors.Join(Run(ctx, cfg, o), context.Cause(ctx))
}

// child starts an exporter as a process of its own.
func child(t *testing.T, path string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	must(t, err)
	c := exec.Command(exe)
	c.Env = append(os.Environ(), childEnv+"="+path)
	must(t, c.Start())
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	return c
}

// same compares read models row by row.
func same(t *testing.T, got, want map[string][]string) {
	t.Helper()
	for name := range want {
		if slices.Equal(got[name], want[name]) {
			continue
		}
		if len(got[name]) != len(want[name]) {
			t.Errorf("%s: %d rows, in one go %d", name, len(got[name]), len(want[name]))
		}
		for i := range min(len(got[name]), len(want[name])) {
			if got[name][i] != want[name][i] {
				t.Errorf("%s:\n%s\nin one go\n%s", name, got[name][i], want[name][i])
				break
			}
		}
	}
}

// keys are all that a Redis holds under a prefix, but the mark's wall clock.
func keys(t *testing.T, dir, prefix string) map[string][]string {
	t.Helper()
	return keysOf(t, dir, prefix+":lane3")
}

// keysOf is keys of any lane: prefix:lane.
func keysOf(t *testing.T, dir, name string) map[string][]string {
	t.Helper()
	head := "{" + name + "}:"
	ctx := context.Background()
	c := redisClient(dir)
	defer c.Close()
	all := map[string][]string{}
	list, err := c.Keys(ctx, head+"*").Result()
	must(t, err)
	for _, key := range list {
		name := strings.TrimPrefix(key, head)
		kind, err := c.Type(ctx, key).Result()
		must(t, err)
		switch kind {
		case "hash":
			fields, err := c.HGetAll(ctx, key).Result()
			must(t, err)
			delete(fields, "stored_at")
			delete(fields, "node") // beside which the exporter ran
			for k, v := range fields {
				all[name] = append(all[name], k+"="+v)
			}
			slices.Sort(all[name])
		case "set":
			all[name], err = c.SMembers(ctx, key).Result()
			must(t, err)
			slices.Sort(all[name])
		case "stream":
			entries, err := c.XRange(ctx, key, "-", "+").Result()
			must(t, err)
			for _, e := range entries {
				var fields []string
				for k, v := range e.Values {
					fields = append(fields, fmt.Sprint(k, "=", v))
				}
				slices.Sort(fields)
				all[name] = append(all[name], e.ID+" "+strings.Join(fields, " "))
			}
		default:
			t.Errorf("%s is a %s", key, kind)
		}
	}
	return all
}

// eventually waits for something that takes as long as the machine is busy.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(90 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 90 s: %s", what)
		}
	}
}
