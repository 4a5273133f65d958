package export

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"onebeat/mirror/lane"
	"onebeat/tools/config"
	"onebeat/tools/control"
	"onebeat/tools/export/target"
)

// running is an exporter in this process.
type running struct {
	t      *testing.T
	cfg    *config.ExportFile
	cancel context.CancelFunc
	ended  chan error
}

func start(t *testing.T, path string) *running {
	t.Helper()
	cfg, err := config.LoadExport(path)
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{t, cfg, cancel, make(chan error, 1)}
	go func() { r.ended <- Run(ctx, cfg, Options{Log: silent()}) }()
	t.Cleanup(cancel)
	return r
}

func (r *running) stop() {
	r.t.Helper()
	r.cancel()
	must(r.t, <-r.ended)
}

// feed is the status of a target, as the control socket tells it.
func (r *running) feed(kind string) control.FeedStatus {
	var s control.ExportStatus
	if err := control.Call(control.SocketPath(r.cfg.Export.RunDir, r.cfg.Export.Name), control.Request{Cmd: control.CmdStatus}, &s, 5*time.Second); err != nil {
		return control.FeedStatus{}
	}
	for _, f := range s.Feeds {
		if f.Target == kind {
			return f
		}
	}
	return control.FeedStatus{}
}

// TestAServerThatIsNotThere: it is waited for, loudly, and the other target goes on.
func TestAServerThatIsNotThere(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for servers again and again")
	}
	pg, rd := startPostgres(t), startRedis(t)
	l := newLane(t, false, 21)
	l.grow(2000)
	pg.stop(syscall.SIGKILL)
	x := start(t, l.config("x", postgresSection(pg.dir, "x")+redisSection(rd.dir, "x")))
	eventually(t, "Redis is current while PostgreSQL is down", func() bool {
		p, r := x.feed(KindPostgres), x.feed(KindRedis)
		return p.Failing && p.Failures >= 3 && p.LastError != "" && r.Records == 2000 && r.BehindBytes == 0 && r.BehindNs == 0
	})
	pg.start()
	eventually(t, "PostgreSQL is current", func() bool { p := x.feed(KindPostgres); return p.Records == 2000 && !p.Failing })
	must(t, syscall.Kill(-rd.cmd.Process.Pid, syscall.SIGSTOP)) // answers nobody
	l.grow(1000)
	eventually(t, "PostgreSQL goes on while Redis hangs", func() bool { return x.feed(KindPostgres).Records == 3000 })
	rd.stop(syscall.SIGKILL)
	rd.start()
	eventually(t, "Redis is another one, and empty: made anew", func() bool { return x.feed(KindRedis).Records == 3000 })
	var text bytes.Buffer
	writeMetrics(&text, &control.ExportStatus{Feeds: []control.FeedStatus{x.feed(KindPostgres), x.feed(KindRedis)}})
	if !strings.Contains(text.String(), `onebeat_export_records_total{lane="3",target="redis"} 3000`) {
		t.Error(text.String())
	}
	x.stop()
}

// TestAServerThatIsFull refuses writes until it has room.
func TestAServerThatIsFull(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for servers again and again")
	}
	pg, rd := startPostgres(t), startRedis(t, "--maxmemory", "3mb")
	l := newLane(t, false, 22)
	l.grow(20_000)
	full(t, pg, true)
	x := start(t, l.config("x", postgresSection(pg.dir, "x")+redisSection(rd.dir, "x")))
	eventually(t, "both refuse", func() bool {
		p, r := x.feed(KindPostgres), x.feed(KindRedis)
		return p.Failing && r.Failing && strings.Contains(r.LastError, "OOM")
	})
	full(t, pg, false)
	c := redisClient(rd.dir)
	must(t, c.ConfigSet(context.Background(), "maxmemory", "0").Err())
	must(t, c.Close())
	eventually(t, "both are current", func() bool {
		p, r := x.feed(KindPostgres), x.feed(KindRedis)
		return p.Records == 20_000 && r.Records == 20_000 && !p.Failing && !r.Failing
	})
	x.stop()
	once(t, l.config("whole", postgresSection(pg.dir, "whole")+redisSection(rd.dir, "whole")))
	same(t, tables(t, pg.dir, "x_lane3"), tables(t, pg.dir, "whole_lane3"))
	same(t, keys(t, rd.dir, "x"), keys(t, rd.dir, "whole"))
}

// full makes a server refuse every write, as one does that protects a full disk.
func full(t *testing.T, pg *server, full bool) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, postgresURL(pg.dir))
	must(t, err)
	defer conn.Close(ctx)
	sql := "ALTER USER trader RESET default_transaction_read_only"
	if full {
		sql = "ALTER USER trader SET default_transaction_read_only = on"
	}
	_, err = conn.Exec(ctx, "BEGIN READ WRITE; "+sql+"; COMMIT")
	must(t, err)
}

// TestOnlyWhatIsCommitted: what a failover may cut is not exported before it is
// held by all.
func TestOnlyWhatIsCommitted(t *testing.T) {
	rd := startRedis(t)
	l := newLane(t, false, 23)
	l.grow(1000)
	committed := l.ring.Tail()
	l.mem.Table.SetCommit(lane.CommitPosition)
	l.grow(1000)
	path := l.config("x", redisSection(rd.dir, "x"))
	x := start(t, path)
	eventually(t, "what is committed is stored", func() bool { return x.feed(KindRedis).Position == committed })
	time.Sleep(50 * time.Millisecond)
	if f := x.feed(KindRedis); f.Records != 1000 || f.Read != committed {
		t.Errorf("%+v", f)
	}
	l.mem.Table.SetCommit(lane.CommitTail)
	eventually(t, "the rest follows", func() bool { return x.feed(KindRedis).Records == 2000 })
	x.stop()
}

// TestForeignLogs: another life, another configuration, a cut log and one without
// its beginning are refused, each with what to do.
func TestForeignLogs(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for servers again and again")
	}
	pg, rd := startPostgres(t), startRedis(t)
	sections := postgresSection(pg.dir, "x") + redisSection(rd.dir, "x")
	l, other := newLane(t, false, 31), newLane(t, false, 32)
	l.grow(6000) // past a digest
	other.grow(3000)
	once(t, l.config("x", sections))
	refused := func(path string, want error, text string) {
		t.Helper()
		for _, kind := range []string{KindPostgres, KindRedis} {
			err := run(path, Options{Once: true, Targets: []string{kind}, Log: silent()})
			if !errors.Is(err, want) || !strings.Contains(err.Error(), text) {
				t.Errorf("%s: %v, want %v with %q", kind, err, want, text)
			}
		}
	}
	// Another lane's log begins otherwise.
	refused(other.config("x", sections), target.ErrForeign, "--reset")

	// Another configuration decides otherwise.
	node := filepath.Join(l.dir, "node.toml")
	good, err := os.ReadFile(node)
	must(t, err)
	must(t, os.WriteFile(node, bytes.Replace(good, []byte("id = 8\nname"), []byte("id = 9\nname"), 1), 0o644))
	refused(l.config("x", sections), errLog, "--reset")
	refused(l.config("fresh", postgresSection(pg.dir, "fresh")+redisSection(rd.dir, "fresh")), ErrDiverged, "configuration")
	must(t, os.WriteFile(node, good, 0o644))

	// The same lane, but a failover cut what the read model has.
	fork := newLane(t, false, 31)
	fork.grow(5900)
	fork.flow.Fork(1)
	fork.grow(2000)
	refused(fork.config("x", sections), errLog, "--reset")
	for _, kind := range []string{KindPostgres, KindRedis} {
		cfg, err := config.LoadExport(fork.config("x", sections))
		must(t, err)
		must(t, Reset(context.Background(), cfg, Options{Log: silent(), Targets: []string{kind}}))
	}
	once(t, fork.config("x", sections))
	once(t, fork.config("whole", postgresSection(pg.dir, "whole")+redisSection(rd.dir, "whole")))
	same(t, tables(t, pg.dir, "x_lane3"), tables(t, pg.dir, "whole_lane3"))
	same(t, keys(t, rd.dir, "x"), keys(t, rd.dir, "whole"))
}

// TestNewerSchemas and other exporters' rows are left alone.
func TestNewerSchemas(t *testing.T) {
	pg, rd := startPostgres(t), startRedis(t)
	l := newLane(t, false, 41)
	l.grow(2000)
	path := l.config("x", postgresSection(pg.dir, "x")+redisSection(rd.dir, "x"))
	once(t, path)
	ctx, c := context.Background(), redisClient(rd.dir)
	defer c.Close()
	const mark = "{x:lane3}:mark"
	must(t, c.HSet(ctx, mark, "schema", 99).Err())
	query(t, pg.dir, "INSERT INTO x_lane3.schema_version VALUES (99) RETURNING version::text")
	for _, kind := range []string{KindPostgres, KindRedis} {
		if err := run(path, Options{Once: true, Targets: []string{kind}, Log: silent()}); !errors.Is(err, target.ErrSchema) {
			t.Errorf("%s: %v", kind, err)
		}
	}
	must(t, c.HSet(ctx, mark, "schema", 1, "resetting", "1").Err())
	query(t, pg.dir, "DELETE FROM x_lane3.schema_version WHERE version = 99 RETURNING version::text")
	// Rows without their mark: an order is there that is to appear only now.
	query(t, pg.dir, "UPDATE x_lane3.mark SET position = 0, last = 0, epoch = 0, time_ns = 0, records = 0, digest = '' RETURNING 'x'")
	if err := run(path, Options{Once: true, Targets: []string{KindPostgres}, Log: silent()}); !errors.Is(err, target.ErrRows) || !strings.Contains(err.Error(), "--reset") {
		t.Error(err)
	}
	if err := run(path, Options{Once: true, Targets: []string{KindRedis}, Log: silent()}); !errors.Is(err, target.ErrReset) {
		t.Error(err)
	}
	must(t, c.ConfigSet(ctx, "maxmemory", "100mb").Err())
	must(t, c.ConfigSet(ctx, "maxmemory-policy", "allkeys-lru").Err())
	must(t, c.HDel(ctx, mark, "resetting").Err())
	if err := run(path, Options{Once: true, Targets: []string{KindRedis}, Log: silent()}); !errors.Is(err, target.ErrRows) || !strings.Contains(err.Error(), "noeviction") {
		t.Error(err)
	}
}

// TestTwoExporters of one read model: what one has stored the other does not store
// again; in the end all is there once.
func TestTwoExporters(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for servers again and again")
	}
	pg, rd := startPostgres(t), startRedis(t)
	l := newLane(t, false, 51)
	l.grow(1000)
	sections := postgresSection(pg.dir, "x") + redisSection(rd.dir, "x")
	a, b := start(t, l.config("a", sections)), start(t, l.config("b", sections))
	for range 20 {
		l.grow(300)
		time.Sleep(10 * time.Millisecond)
	}
	eventually(t, "both are current", func() bool {
		for _, kind := range []string{KindPostgres, KindRedis} {
			if a.feed(kind).Records != 7000 && b.feed(kind).Records != 7000 {
				return false
			}
		}
		return true
	})
	a.stop()
	b.stop()
	once(t, l.config("whole", postgresSection(pg.dir, "whole")+redisSection(rd.dir, "whole")))
	same(t, tables(t, pg.dir, "x_lane3"), tables(t, pg.dir, "whole_lane3"))
	same(t, keys(t, rd.dir, "x"), keys(t, rd.dir, "whole"))
}

// TestSavedStateBridgesARetainedLog: the archive lost its beginning, and a saved
// state stands for it, but not for a new read model.
func TestSavedStateBridgesARetainedLog(t *testing.T) {
	rd := startRedis(t)
	l := newLane(t, true, 61)
	l.grow(10_000)
	path := l.config("x", redisSection(rd.dir, "x"))
	once(t, path)
	must(t, l.save())
	l.grow(20_000)
	l.forget()
	once(t, path)
	if err := run(l.config("new", redisSection(rd.dir, "new")), Options{Once: true, Log: silent()}); !errors.Is(err, errLog) || !strings.Contains(err.Error(), "copy") {
		t.Error(err)
	}
	if f := keys(t, rd.dir, "x")["mark"]; !strings.Contains(strings.Join(f, " "), "records=30000") {
		t.Error(f)
	}
}
