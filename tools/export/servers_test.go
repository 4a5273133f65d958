package export

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	goredis "github.com/redis/go-redis/v9"
)

// server is a database that a test starts, and may kill and start again.
type server struct {
	t       testing.TB
	dir     string
	program string
	args    []string
	who     *syscall.Credential
	ready   func(ctx context.Context) error
	cmd     *exec.Cmd
}

// serverDir is a directory that another user may work in, away when the test ends.
func serverDir(t testing.TB, who *syscall.Credential) string {
	t.Helper()
	dir, err := ownedDir(who)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func ownedDir(who *syscall.Credential) (string, error) {
	dir, err := os.MkdirTemp("", "obx")
	if err != nil {
		return "", err
	}
	if err = os.Chmod(dir, 0o755); err == nil && who != nil {
		err = os.Chown(dir, int(who.Uid), int(who.Gid))
	}
	if err != nil {
		os.RemoveAll(dir)
	}
	return dir, err
}

// unprivileged is the database's own user: PostgreSQL refuses root. nil: we are
// somebody else already.
func unprivileged(t testing.TB) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			t.Fatal(err)
		}
	}
	uid, _ := strconv.ParseUint(u.Uid, 10, 32)
	gid, _ := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

func (s *server) start() {
	s.t.Helper()
	logFile, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		s.t.Fatal(err)
	}
	defer logFile.Close()
	s.cmd = exec.Command(s.program, s.args...)
	s.cmd.Stdout, s.cmd.Stderr, s.cmd.Dir = logFile, logFile, s.dir
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.who, Setpgid: true}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatalf("%v (apt-get install postgresql redis-server)", err)
	}
	for end := time.Now().Add(60 * time.Second); ; {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		err := s.ready(ctx)
		cancel()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			text, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			s.t.Fatalf("%s: %v\n%s", s.program, err, text)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// stop ends it with a signal, and all that it started.
func (s *server) stop(signal syscall.Signal) {
	if s.cmd == nil {
		return
	}
	all := append(children(s.t, s.cmd.Process.Pid), s.cmd.Process.Pid)
	if signal != syscall.SIGKILL {
		all = all[len(all)-1:] // it looks after the others itself
	}
	for _, pid := range all {
		_ = syscall.Kill(pid, signal)
	}
	_ = s.cmd.Wait()
	for _, pid := range all {
		for syscall.Kill(pid, 0) == nil {
			time.Sleep(time.Millisecond)
		}
	}
	s.cmd = nil
}

// children are the processes that a server started: PostgreSQL's are in sessions of
// their own.
func children(t testing.TB, parent int) (list []int) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	must(t, err)
	for _, path := range stats {
		text, _ := os.ReadFile(path) // gone: none of ours
		var pid, of int
		var state string
		if _, rest, ok := strings.Cut(string(text), ") "); ok {
			if _, err := fmt.Sscan(rest, &state, &of); err == nil && of == parent {
				_, _ = fmt.Sscan(string(text), &pid)
				list = append(list, pid)
			}
		}
	}
	return list
}

func postgresBin(t testing.TB) string {
	t.Helper()
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(dirs) == 0 {
		t.Fatal("no PostgreSQL under /usr/lib/postgresql: apt-get install postgresql")
	}
	return filepath.Dir(dirs[len(dirs)-1])
}

// newCluster is where cluster made its one; TestMain removes it.
var newCluster string

// cluster is an empty cluster that no server used: made once, copied by each test.
func cluster(t testing.TB, bin string, who *syscall.Credential) string {
	t.Helper()
	data := filepath.Join(newCluster, "data")
	if newCluster != "" {
		return data
	}
	dir, err := ownedDir(who)
	if err != nil {
		t.Fatal(err)
	}
	data = filepath.Join(dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "trader", "-A", "trust", "--no-sync", "-E", "UTF8", "--no-locale")
	initdb.Dir, initdb.SysProcAttr = dir, &syscall.SysProcAttr{Credential: who}
	if out, err := initdb.CombinedOutput(); err != nil {
		os.RemoveAll(dir)
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	newCluster = dir
	return data
}

// startPostgres makes and starts a server that listens on a Unix socket in its
// directory.
func startPostgres(t testing.TB, settings ...string) *server {
	t.Helper()
	bin, who := postgresBin(t), unprivileged(t)
	s := &server{t: t, dir: serverDir(t, who), who: who, program: filepath.Join(bin, "postgres")}
	data := filepath.Join(s.dir, "data")
	if out, err := exec.Command("cp", "-a", cluster(t, bin, who), data).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s.args = []string{"-D", data, "-k", s.dir, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=64MB", "-c", "max_wal_size=256MB",
		"-c", "dynamic_shared_memory_type=mmap"} // in its directory: of a killed server nothing stays in /dev/shm
	for _, x := range settings {
		s.args = append(s.args, "-c", x)
	}
	s.ready = func(ctx context.Context) error {
		conn, err := pgx.Connect(ctx, postgresURL(s.dir))
		if err == nil {
			err = conn.Close(ctx)
		}
		return err
	}
	t.Cleanup(func() { s.stop(syscall.SIGQUIT) })
	s.start()
	return s
}

func postgresURL(dir string) string {
	return "host=" + dir + " user=trader dbname=postgres sslmode=disable"
}

// startRedis starts a server that listens on a Unix socket in its directory.
func startRedis(t testing.TB, settings ...string) *server {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatalf("%v: apt-get install redis-server", err)
	}
	who := unprivileged(t)
	s := &server{t: t, dir: serverDir(t, who), who: who, program: program}
	s.args = append([]string{"--port", "0", "--unixsocket", filepath.Join(s.dir, "redis.sock"), "--dir", s.dir, "--appendfsync", "no"}, settings...)
	s.ready = func(ctx context.Context) error {
		c := redisClient(s.dir)
		defer c.Close()
		return c.Ping(ctx).Err()
	}
	t.Cleanup(func() { s.stop(syscall.SIGKILL) })
	s.start()
	return s
}

func redisClient(dir string) *goredis.Client {
	return goredis.NewClient(&goredis.Options{Network: "unix", Addr: filepath.Join(dir, "redis.sock"), Protocol: 2})
}

func redisURL(dir string) string { return "unix://" + filepath.Join(dir, "redis.sock") + "?db=0" }

// cutter stands between an exporter and its server and cuts connections in the
// middle of a commit.
type cutter struct {
	t      *testing.T
	dir    string // of its socket
	server string // socket of the server
	commit []byte // what a commit is recognised by, in lower case
	l      net.Listener
	armed  atomic.Int32 // cutBefore, cutBehind
	cuts   [3]atomic.Int32
	conns  sync.WaitGroup
}

const (
	cutBefore = 1 // the server does not get it
	cutBehind = 2 // the exporter does not get the answer
)

// newCutter listens on a socket of the same name.
func newCutter(t *testing.T, serverSocket, commit string) *cutter {
	t.Helper()
	c := &cutter{t: t, dir: serverDir(t, nil), server: serverSocket, commit: []byte(commit)}
	var err error
	if c.l, err = net.Listen("unix", filepath.Join(c.dir, filepath.Base(serverSocket))); err != nil {
		t.Fatal(err)
	}
	c.conns.Go(func() {
		for {
			conn, err := c.l.Accept()
			if err != nil {
				return
			}
			c.conns.Go(func() { c.carry(conn) })
		}
	})
	t.Cleanup(func() { c.l.Close(); c.conns.Wait() })
	return c
}

func (c *cutter) carry(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("unix", c.server)
	if err != nil {
		return
	}
	defer server.Close()
	var deaf atomic.Bool
	back := make(chan struct{})
	go func() {
		defer close(back)
		b := make([]byte, 64<<10)
		for {
			n, err := server.Read(b)
			if err != nil {
				client.Close()
				return
			}
			if !deaf.Load() {
				if _, err := client.Write(b[:n]); err != nil {
					return
				}
			}
		}
	}()
	b := make([]byte, 64<<10)
	for {
		n, err := client.Read(b)
		if err != nil {
			return
		}
		how := c.armed.Load()
		if how != 0 && bytes.Contains(bytes.ToLower(b[:n]), c.commit) && c.armed.CompareAndSwap(how, 0) {
			c.cuts[how].Add(1)
			if how == cutBehind {
				deaf.Store(true)
				if _, err := server.Write(b[:n]); err != nil {
					return
				}
				time.Sleep(20 * time.Millisecond) // it commits, and nobody hears of it
			}
			return
		}
		if _, err := server.Write(b[:n]); err != nil {
			return
		}
	}
}

// query returns all rows of a query as text, one a line.
func query(t *testing.T, dir, sql string) []string {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, postgresURL(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	r, err := conn.Query(ctx, sql)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(r, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return list
}

// tables are a schema's rows, of all tables but the mark's wall clock.
func tables(t *testing.T, dir, schema string) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for name, order := range map[string]string{"orders": "session, cl_ord_id", "executions": "position, index", "positions": "session, account, symbol",
		"sessions": "session", "symbols": "symbol"} {
		all[name] = query(t, dir, fmt.Sprintf("SELECT x::text FROM %s.%s x ORDER BY %s", schema, name, order))
	}
	all["mark"] = query(t, dir, fmt.Sprintf("SELECT (lane, app, identity, position, last, epoch, time_ns, records, digest)::text FROM %s.mark", schema))
	return all
}

// withSchema puts a schema's name for S.
func withSchema(sql, schema string) string { return strings.ReplaceAll(sql, "S.", schema+".") }
