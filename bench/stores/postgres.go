package stores

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"onebeat/bench/lab"
)

const (
	postgresPort    = 5432
	postgresInstall = "apt-get install postgresql"
)

// Postgres is a primary and a streaming standby; a write is an INSERT that the
// standby's operating system has (synchronous_commit = remote_write).
type Postgres struct {
	servers
	lab  *lab.Lab
	conn *pgx.Conn
}

var _ Store = (*Postgres)(nil)

// Name implements Store.
func (*Postgres) Name() string { return "postgresql" }

// What implements Store.
func (*Postgres) What() string {
	return "INSERT with synchronous_commit=remote_write; one standby, files in memory"
}

// Start implements Store.
func (p *Postgres) Start(l *lab.Lab) error {
	bin, err := postgresBin()
	if err != nil {
		return err
	}
	who, err := unprivileged("postgres", "nobody")
	if err != nil {
		return err
	}
	if err := p.makeDir("postgres"); err != nil {
		return err
	}
	p.lab = l
	if err := p.up(l, bin, who); err != nil {
		return errors.Join(err, p.Stop())
	}
	return nil
}

func (p *Postgres) up(l *lab.Lab, bin string, who as) error {
	if err := os.Chown(p.dir, int(who.Uid), int(who.Gid)); err != nil {
		return err
	}
	primary, standby := filepath.Join(p.dir, "primary.data"), filepath.Join(p.dir, "standby.data")
	if err := p.run(l, lab.NodeA, who, filepath.Join(bin, "initdb"), "-D", primary, "-U", "bench", "-A", "trust", "--no-sync", "-E", "UTF8", "--no-locale"); err != nil {
		return err
	}
	settings := fmt.Sprintf(`listen_addresses = '%s,%s'
unix_socket_directories = ''
port = %d
synchronous_commit = remote_write
synchronous_standby_names = '*'
wal_level = replica
hot_standby = on
shared_buffers = 128MB
`, ip(lab.NodeAIP), ip(lab.NodeALinkIP), postgresPort)
	access := "host all bench 10.0.0.0/8 trust\nhost replication bench 10.0.0.0/8 trust\n"
	err := errors.Join(appendTo(filepath.Join(primary, "postgresql.conf"), settings), appendTo(filepath.Join(primary, "pg_hba.conf"), access))
	if err != nil {
		return err
	}
	postgres := filepath.Join(bin, "postgres")
	if err := p.start(l, lab.NodeA, "primary", who, postgres, "-D", primary); err != nil {
		return err
	}
	if err := p.until("the primary", func() error { return p.connect(l) }); err != nil {
		return err
	}
	// The table is made before there is a standby to wait for.
	for _, q := range []string{"SET synchronous_commit = off", "CREATE TABLE orders (id bigserial PRIMARY KEY, body bytea NOT NULL)", "RESET synchronous_commit"} {
		if err := p.exec(q); err != nil {
			return err
		}
	}
	if err := p.run(l, lab.NodeB, who, filepath.Join(bin, "pg_basebackup"), "-D", standby, "-h", ip(lab.NodeALinkIP), "-p", strconv.Itoa(postgresPort),
		"-U", "bench", "-R", "-X", "stream", "-c", "fast", "--no-sync"); err != nil {
		return err
	}
	if err := p.start(l, lab.NodeB, "standby", who, postgres, "-D", standby, "-c", "listen_addresses="+ip(lab.NodeBLinkIP)); err != nil {
		return err
	}
	return p.until("the standby", p.ready)
}

func (p *Postgres) connect(l *lab.Lab) (err error) {
	p.conn, err = connectPostgres(l, lab.Client, ip(lab.NodeAIP))
	return err
}

func connectPostgres(l *lab.Lab, place, host string) (*pgx.Conn, error) {
	c, err := pgx.ParseConfig(fmt.Sprintf("host=%s port=%d user=bench dbname=postgres sslmode=disable connect_timeout=5", host, postgresPort))
	if err != nil {
		return nil, err
	}
	c.DialFunc = func(_ context.Context, _, address string) (net.Conn, error) { return dial(l, place, address) }
	return pgx.ConnectConfig(context.Background(), c)
}

// ready reports whether the standby takes part in every commit.
func (p *Postgres) ready() error {
	var n int
	if err := p.conn.QueryRow(context.Background(), "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'").Scan(&n); err != nil {
		return err
	}
	if n != 1 {
		return errors.New("the standby is not synchronous")
	}
	return nil
}

// Write implements Store.
func (p *Postgres) Write(payload []byte) error {
	return p.exec("INSERT INTO orders (body) VALUES ($1)", payload)
}

func (p *Postgres) exec(query string, args ...any) error {
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	_, err := p.conn.Exec(ctx, query, args...)
	return err
}

// Copied implements Store.
func (p *Postgres) Copied() (n int, err error) {
	c, err := connectPostgres(p.lab, lab.NodeB, ip(lab.NodeBLinkIP))
	if err != nil {
		return 0, err
	}
	defer c.Close(context.Background())
	err = c.QueryRow(context.Background(), "SELECT count(*) FROM orders").Scan(&n)
	return n, err
}

// Stop implements Store.
func (p *Postgres) Stop() error {
	if p.conn != nil {
		_ = p.conn.Close(context.Background()) // nothing is owed
		p.conn = nil
	}
	return p.stop()
}

// postgresBin is the directory of the newest installed version's programs.
func postgresBin() (string, error) {
	dirs, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	version := func(dir string) int {
		n, _ := strconv.Atoi(strings.Split(dir, "/")[4])
		return n
	}
	slices.SortFunc(dirs, func(a, b string) int { return version(b) - version(a) })
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, "postgres")); err == nil {
			return dir, nil
		}
	}
	return "", &Missing{Program: "postgres", Install: postgresInstall}
}

func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
