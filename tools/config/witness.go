package config

import (
	"fmt"
	"os"
	"path/filepath"
)

// WitnessFile is a witness's file.
type WitnessFile struct {
	// File is the path it was read from; empty: it was made of flags.
	File string `toml:"-"`

	Witness WitnessHost    `toml:"witness" required:"true"`
	Groups  []WitnessGroup `toml:"group" required:"true"`
}

// WitnessHost is the witness as a process.
type WitnessHost struct {
	Name     string   `toml:"name" default:"witness"` // of the control socket
	Listen   Endpoint `toml:"listen" required:"true"`
	RunDir   string   `toml:"run_dir" default:"/run/onebeat"`
	LogLevel string   `toml:"log_level" default:"info" oneof:"debug|info|warn|error"`
	// Idle: what its loop does while nobody asks. One that sleeps has to be
	// woken by the claim that ends a silence.
	Idle       string `toml:"idle" default:"backoff" oneof:"spin|yield|backoff"`
	Core       int    `toml:"core" default:"-1" range:"-1..1023"`
	LockMemory bool   `toml:"lock_memory" default:"true"`
}

// WitnessGroup is who shares a key with the witness: the nodes of a pair, with
// all their lanes.
type WitnessGroup struct {
	Name    string `toml:"name" required:"true"`
	KeyFile string `toml:"key_file" required:"true"`

	// Key is what KeyFile holds.
	Key [KeyBytes]byte `toml:"-"`
}

// LoadWitness reads, decodes and checks a witness's file. The error of a bad
// file is an Errors with everything that is wrong with it.
func LoadWitness(path string) (*WitnessFile, error) {
	doc, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return ParseWitness(path, doc)
}

// ParseWitness decodes and checks a document; file names it in errors.
func ParseWitness(file string, doc []byte) (*WitnessFile, error) {
	c := &WitnessFile{File: file}
	if err := decode(file, doc, c, func(d *decoder) { c.check(d) }); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *WitnessFile) check(d *decoder) {
	if n := c.Witness.Name; filepath.Base(n) != n || n == "" {
		d.fail("witness.name", fmt.Sprintf("%q cannot name a file", n), "use letters, digits and -; the control socket carries the name")
	}
	if dir := c.Witness.RunDir; !filepath.IsAbs(dir) {
		d.fail("witness.run_dir", fmt.Sprintf("%q is not an absolute path", dir), "start it with /")
	}
	names, keys := map[string]string{}, map[[KeyBytes]byte]string{}
	for i := range c.Groups {
		g, path := &c.Groups[i], fmt.Sprintf("group[%d]", i)
		if g.KeyFile == "" || d.failed[join(path, "key_file")] {
			continue
		}
		if problem, remedy := readKey(c.File, g.KeyFile, &g.Key); problem != "" {
			d.fail(join(path, "key_file"), problem, remedy)
			continue
		}
		if other, ok := keys[g.Key]; ok {
			d.fail(join(path, "key_file"), "holds the key of "+other+": one pair could change the other's record", "make a key for each with `openssl rand -hex 32`")
		}
		if other, ok := names[g.Name]; ok && g.Name != "" {
			d.fail(join(path, "name"), fmt.Sprintf("%q is already that of %s", g.Name, other), "name groups differently")
		}
		names[g.Name], keys[g.Key] = path, path
	}
}

// WitnessOfKeys is the witness of a command line: a group for each key file,
// named by it, and defaults for the rest.
func WitnessOfKeys(listen string, keyFiles []string) (*WitnessFile, error) {
	c := &WitnessFile{Witness: WitnessHost{Name: "witness", RunDir: "/run/onebeat", LogLevel: "info", Idle: IdleBackoff, Core: -1, LockMemory: true}}
	if err := c.Witness.Listen.UnmarshalText([]byte(listen)); err != nil {
		return nil, fmt.Errorf("--listen: %w", err)
	}
	d := &decoder{file: "--key-file", places: map[string]place{}, failed: map[string]bool{}}
	for _, path := range keyFiles {
		full, err := filepath.Abs(path)
		if err != nil {
			return nil, err
		}
		name := filepath.Base(path)
		c.Groups = append(c.Groups, WitnessGroup{Name: name[:len(name)-len(filepath.Ext(name))], KeyFile: full})
	}
	if c.check(d); len(d.errors) > 0 {
		e := d.errors[0]
		return nil, fmt.Errorf("--key-file: %s: %s; %s", e.Field, e.Problem, e.Remedy)
	}
	return c, nil
}
