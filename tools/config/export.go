package config

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// ExportFile is an exporter's file.
type ExportFile struct {
	// File is the path it was read from.
	File string `toml:"-"`

	Export   Export    `toml:"export" required:"true"`
	Postgres *Postgres `toml:"postgres"`
	Redis    *Redis    `toml:"redis"`

	// Node is what Export.NodeConfig holds.
	Node *Config `toml:"-"`
}

// Export is the exporter as a process, and whose logs it reads.
type Export struct {
	Name string `toml:"name" required:"true"` // of the control socket
	// NodeConfig is the file of the node whose logs are read: sessions, symbols and
	// limits are needed to rebuild what was decided.
	NodeConfig string `toml:"node_config" required:"true"`
	// Archive is a copy of the node's [archive] dir, exported whole; empty: the node's
	// memory and its archive are read, and only what is committed.
	Archive  string `toml:"archive"`
	Lanes    []int  `toml:"lanes"` // none: all lanes of the node
	RunDir   string `toml:"run_dir" default:"/run/onebeat"`
	LogLevel string `toml:"log_level" default:"info" oneof:"debug|info|warn|error"`
	// Batch is how many records become one transaction at most.
	Batch int `toml:"batch" default:"20000" range:"1..1000000"`
	// Metrics is where Prometheus may ask; empty: nowhere.
	Metrics Endpoint `toml:"metrics"`
}

// Postgres is the database of a read model.
type Postgres struct {
	// URL is as libpq has it: postgres://user@host/db, or "host=/run/postgresql
	// dbname=db".
	URL          string `toml:"url" required:"true"`
	PasswordFile string `toml:"password_file"`
	// Schema begins the name of each lane's schema: <schema>_lane<id>.
	Schema  string   `toml:"schema" default:"onebeat"`
	Timeout Duration `toml:"timeout" default:"30s" range:"100ms..1h"` // of one transaction

	Password string `toml:"-"`
}

// Redis is the server of a read model.
type Redis struct {
	// URL is redis://user@host:6379/0, rediss:// with TLS, or unix:///path?db=0.
	URL          string `toml:"url" required:"true"`
	PasswordFile string `toml:"password_file"`
	// Prefix begins the name of every key: {<prefix>:lane<id>}:….
	Prefix  string   `toml:"prefix" default:"onebeat"`
	Timeout Duration `toml:"timeout" default:"30s" range:"100ms..1h"` // of one transaction
	// Executions is how many are kept; 0: all.
	Executions int `toml:"executions" default:"1000000" range:"0.."`
	// FinishedFor is how long finished orders are kept; 0s: for ever.
	FinishedFor Duration `toml:"finished_for" default:"24h"`

	Password string `toml:"-"`
}

// LoadExport reads, decodes and checks an exporter's file, and the node's it names.
// The error of a bad file is an Errors with everything that is wrong with it.
func LoadExport(path string) (*ExportFile, error) {
	doc, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return ParseExport(path, doc)
}

// ParseExport decodes and checks a document; file names it in errors.
func ParseExport(file string, doc []byte) (*ExportFile, error) {
	c := &ExportFile{File: file}
	var bad error // what is wrong with the node's file
	err := decode(file, doc, c, func(d *decoder) {
		if c.check(d); len(d.errors) > 0 {
			return
		}
		if c.Node, bad = Load(c.path(c.Export.NodeConfig)); bad == nil {
			c.checkNode(d)
		}
	})
	if bad != nil {
		err = fmt.Errorf("%s: export.node_config: %w", file, bad)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// path is relative to the file, if it is not absolute.
func (c *ExportFile) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(c.File), name)
}

// schemaName is what a schema may begin with: nobody has to quote it.
var schemaName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,47}$`)

func (c *ExportFile) check(d *decoder) {
	e := &c.Export
	if n := e.Name; n != "" && filepath.Base(n) != n {
		d.fail("export.name", fmt.Sprintf("%q cannot name a file", n), "use letters, digits and -; the control socket carries the name")
	}
	for path, dir := range map[string]string{"export.run_dir": e.RunDir, "export.archive": e.Archive} {
		if dir != "" && !filepath.IsAbs(dir) {
			d.fail(path, fmt.Sprintf("%q is not an absolute path", dir), "start it with /")
		}
	}
	if c.Postgres == nil && c.Redis == nil {
		d.fail("export", "goes nowhere", "add [postgres] or [redis], or both")
	}
	if p := c.Postgres; p != nil {
		if !schemaName.MatchString(p.Schema) {
			d.fail("postgres.schema", fmt.Sprintf("%q cannot begin a schema's name", p.Schema), "use lower-case letters, digits and _, 48 at most")
		}
		d.secret("postgres.password_file", p.PasswordFile, &p.Password)
	}
	if r := c.Redis; r != nil {
		if u, err := url.Parse(r.URL); r.URL != "" && (err != nil || !slices.Contains([]string{"redis", "rediss", "unix"}, u.Scheme)) {
			d.fail("redis.url", "is no address of a Redis", "write redis://host:6379/0, rediss://host:6380/0 or unix:///run/redis/redis.sock?db=0")
		}
		if strings.ContainsAny(r.Prefix, "{}") || r.Prefix == "" {
			d.fail("redis.prefix", fmt.Sprintf("%q cannot begin keys", r.Prefix), "leave out { and }: they enclose what keys of one lane share")
		}
		d.secret("redis.password_file", r.PasswordFile, &r.Password)
	}
}

// checkNode looks at what the node's file decides.
func (c *ExportFile) checkNode(d *decoder) {
	e := &c.Export
	if e.Archive == "" && c.Node.Archive == nil {
		d.fail("export.archive", "missing, and "+c.Node.File+" has no [archive]", "a read model is made of the whole log: give the node an [archive]")
	}
	for i, id := range e.Lanes {
		path := fmt.Sprintf("export.lanes[%d]", i)
		if c.Node.Lane(id) == nil {
			d.fail(path, fmt.Sprintf("%s has no lane %d", c.Node.File, id), "name lanes of that node")
		}
		if slices.Contains(e.Lanes[:i], id) {
			d.fail(path, fmt.Sprintf("lane %d is named twice", id), "name each lane once")
		}
	}
	if len(e.Lanes) == 0 {
		for i := range c.Node.Lanes {
			e.Lanes = append(e.Lanes, c.Node.Lanes[i].ID)
		}
	}
}

// secret reads a password from a file that nobody else may read.
func (d *decoder) secret(path, name string, into *string) {
	if name == "" {
		return
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(d.file), name)
	}
	info, err := os.Stat(name)
	if err != nil {
		d.fail(path, err.Error(), "write the password into it, and chmod 600")
		return
	}
	if mode := info.Mode(); !mode.IsRegular() || mode.Perm()&0o077 != 0 {
		d.fail(path, fmt.Sprintf("%s has mode %v: others could read the password", name, mode), "chmod 600 "+name)
		return
	}
	text, err := os.ReadFile(name)
	if err != nil {
		d.fail(path, err.Error(), "make it readable for the user of the exporter")
		return
	}
	*into = strings.TrimRight(string(text), "\r\n")
}
