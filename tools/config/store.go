package config

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Store is where closed segments, snapshots and notes are shipped to: a directory,
// or a bucket of an S3-compatible server.
type Store struct {
	Name      string `toml:"name" required:"true"`
	Directory string `toml:"directory"` // it must be there: an empty mount point is no store
	Endpoint  string `toml:"endpoint"`  // host:port of an S3-compatible server
	Plain     bool   `toml:"plain" default:"false"`
	Region    string `toml:"region" default:"us-east-1"`
	Bucket    string `toml:"bucket"`
	Prefix    string `toml:"prefix"` // of the objects' names
	// CredentialsFile holds access_key=… and secret_key=…, a line each, mode 0600.
	CredentialsFile string `toml:"credentials_file"`
	// ReadBack: each object is fetched and compared after it was put. Without, the
	// server's ETag is compared.
	ReadBack bool `toml:"read_back" default:"false"`
	// Every is how often the archive is looked at.
	Every Duration `toml:"every" default:"1s" range:"10ms..1h"`
	// RateLimit bounds what is sent in a second; 0: no bound.
	RateLimit Size `toml:"rate_limit" default:"0"`
	// Snapshots is how many are kept there.
	Snapshots int `toml:"snapshots" default:"3" range:"1..1000"`
	// KeepUntilShipped: retention removes no segment that is not there yet.
	KeepUntilShipped bool `toml:"keep_until_shipped" default:"false"`

	// AccessKey and SecretKey are what CredentialsFile holds.
	AccessKey string `toml:"-"`
	SecretKey string `toml:"-"`
}

// stores looks at each.
func (d *decoder) stores(file string, stores []Store) {
	names := map[string]bool{}
	for i := range stores {
		s, path := &stores[i], fmt.Sprintf("store[%d]", i)
		if names[s.Name] && d.ok(join(path, "name")) {
			d.fail(join(path, "name"), fmt.Sprintf("%q stands there twice", s.Name), "name stores differently")
		}
		names[s.Name] = true
		if !d.ok(path) {
			continue
		}
		switch {
		case (s.Directory == "") == (s.Endpoint == ""):
			d.fail(path, "needs one of directory and endpoint", "a store is a directory or an S3-compatible server")
		case s.Directory != "":
			if !filepath.IsAbs(s.Directory) {
				d.fail(join(path, "directory"), fmt.Sprintf("%q is not an absolute path", s.Directory), "start it with /")
			}
		default:
			if s.Bucket == "" {
				d.fail(join(path, "bucket"), "missing", "name the bucket; it must be there")
			}
			if problem, remedy := s.readCredentials(file); problem != "" {
				d.fail(join(path, "credentials_file"), problem, remedy)
			}
		}
	}
}

// readCredentials returns what is wrong and the remedy, or nothing. It never
// quotes what is in the file.
func (s *Store) readCredentials(configFile string) (problem, remedy string) {
	const write = "write two lines, access_key=… and secret_key=…, and chmod 600 it"
	if s.CredentialsFile == "" {
		return "missing", write
	}
	path := s.CredentialsFile
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(configFile), path)
	}
	info, err := os.Stat(path)
	if err != nil {
		return err.Error(), write
	}
	if mode := info.Mode(); !mode.IsRegular() || mode.Perm()&0o077 != 0 {
		return fmt.Sprintf("%s has mode %v: others could read it", path, mode), "chmod 600 " + path
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error(), "make it readable for the daemon's user"
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		name, v, _ := strings.Cut(strings.TrimSpace(lines.Text()), "=")
		switch strings.TrimSpace(name) {
		case "access_key":
			s.AccessKey = strings.TrimSpace(v)
		case "secret_key":
			s.SecretKey = strings.TrimSpace(v)
		}
	}
	if s.AccessKey == "" || s.SecretKey == "" {
		return path + " lacks one of the two", write
	}
	return "", ""
}
