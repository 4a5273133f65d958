package config

import (
	"fmt"
	"math/bits"
	"os"
	"path/filepath"

	"onebeat/mirror/policy"
)

// Mirrord is the mirror daemon on a node's host.
type Mirrord struct {
	// Listen is where it gives logs and snapshots, and what an engine that died
	// left in the ring; without it, it only archives and ships.
	Listen Endpoint `toml:"listen"`
}

// Site is a place to which this node's logs go beside the peer: a mirror daemon on
// a third host, or a far site's.
type Site struct {
	Name string `toml:"name" required:"true"`
	Node int    `toml:"node" required:"true" range:"1..255"` // number in its certificate
	// Address of the daemon's server.
	Address Endpoint `toml:"address"`
	// Counts: what it holds counts for copies = n. A far site's does not.
	Counts bool `toml:"counts" default:"false"`
}

// Source is a node that a mirror daemon on a host of its own follows.
type Source struct {
	Node    int      `toml:"node" required:"true" range:"1..255"`
	Address Endpoint `toml:"address" required:"true"` // of its server, or of its host's daemon
}

// MirrordFile is the file of a mirror daemon on a host without a node: a third
// host, or a far site.
type MirrordFile struct {
	// File is the path it was read from.
	File string `toml:"-"`

	Mirrord MirrordHost   `toml:"mirrord" required:"true"`
	Stream  Stream        `toml:"stream" required:"true"` // listen: where it serves onward
	Archive Archive       `toml:"archive" required:"true"`
	Follow  Follow        `toml:"follow"`
	Sources []Source      `toml:"source" required:"true"`
	Lanes   []MirrordLane `toml:"lane" required:"true"`
	Stores  []Store       `toml:"store"`
}

// MirrordHost is the daemon as a process.
type MirrordHost struct {
	Name     string `toml:"name" required:"true"` // of the control socket and the archive
	Number   int    `toml:"number" required:"true" range:"1..255"`
	RunDir   string `toml:"run_dir" default:"/run/onebeat"`
	LogLevel string `toml:"log_level" default:"info" oneof:"debug|info|warn|error"`
}

// Follow is how the sources are followed.
type Follow struct {
	Compress bool `toml:"compress" default:"false"` // chunks on the way, by zstd
	// RateLimit bounds what is received in a second; 0: no bound.
	RateLimit Size `toml:"rate_limit" default:"0"`
	// Retry is the wait after a failure; it doubles up to RetryMax, and is cut short
	// by chance.
	Retry    Duration `toml:"retry" default:"200ms" range:"1ms..1m"`
	RetryMax Duration `toml:"retry_max" default:"10s" range:"1ms..1h"`
	// Snapshots is how often the newest one is fetched; 0s: never.
	Snapshots Duration `toml:"snapshots" default:"1m" range:"0s..24h"`
	// KeepSnapshots is how many are kept.
	KeepSnapshots int `toml:"keep_snapshots" default:"3" range:"1..1000"`
}

// MirrordLane is a lane that is followed.
type MirrordLane struct {
	ID int `toml:"id" required:"true" range:"0..15"`
	// RingSize is at least that of the lane's nodes.
	RingSize Size `toml:"ring_size" default:"16MiB"`
}

// HasSources reports whether a document is a mirror daemon's own file, not a
// node's.
func HasSources(doc []byte) bool {
	root, err := parseTree("", doc)
	return err == nil && root.table["source"] != nil
}

// LoadMirrord reads, decodes and checks a mirror daemon's own file.
func LoadMirrord(path string) (*MirrordFile, error) {
	doc, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return ParseMirrord(path, doc)
}

// ParseMirrord decodes and checks a document; file names it in errors.
func ParseMirrord(file string, doc []byte) (*MirrordFile, error) {
	c := &MirrordFile{File: file}
	if err := decode(file, doc, c, func(d *decoder) { c.check(d) }); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *MirrordFile) check(d *decoder) {
	if n := c.Mirrord.Name; n != "" && filepath.Base(n) != n {
		d.fail("mirrord.name", fmt.Sprintf("%q cannot name a file", n), "use letters, digits and -; the control socket carries the name")
	}
	if dir := c.Mirrord.RunDir; !filepath.IsAbs(dir) {
		d.fail("mirrord.run_dir", fmt.Sprintf("%q is not an absolute path", dir), "start it with /")
	}
	d.checkArchive(&c.Archive)
	if d.has("archive.by") {
		d.fail("archive.by", "has no use here: this daemon writes its own archive", "remove it")
	}
	nodes := map[Endpoint]bool{}
	for i, s := range c.Sources {
		path := fmt.Sprintf("source[%d]", i)
		if s.Node == c.Mirrord.Number && d.ok("mirrord.number", join(path, "node")) {
			d.fail(join(path, "node"), "is this daemon's own number", "each host has a number of its own, as in its certificate")
		}
		if nodes[s.Address] && d.ok(join(path, "address")) {
			d.fail(join(path, "address"), fmt.Sprintf("%v stands there twice", s.Address), "name each source once")
		}
		nodes[s.Address] = true
	}
	lanes := map[int]bool{}
	for i, l := range c.Lanes {
		path := lanePath(i)
		if lanes[l.ID] && d.ok(join(path, "id")) {
			d.fail(join(path, "id"), fmt.Sprintf("lane %d stands there twice", l.ID), "name each lane once")
		}
		lanes[l.ID] = true
		if at := join(path, "ring_size"); d.ok(at) && (l.RingSize < minRingSize || l.RingSize > maxRingSize || bits.OnesCount64(uint64(l.RingSize)) != 1) {
			d.fail(at, fmt.Sprintf("%v is not a power of two from %v to %v", l.RingSize, minRingSize, maxRingSize), "use the ring_size of the lane's nodes, or more")
		}
	}
	d.stores(c.File, c.Stores)
	if c.Follow.RetryMax < c.Follow.Retry && d.ok("follow.retry", "follow.retry_max") {
		d.fail("follow.retry_max", fmt.Sprintf("%v is less than retry = %v", c.Follow.RetryMax, c.Follow.Retry), "raise it")
	}
}

// mirrord: the sections of a node's file that concern its host's daemon.
func (k *checker) mirrord() {
	m := k.c.Mirrord
	if m == nil {
		if len(k.c.Stores) > 0 && k.ok("mirrord") {
			k.fail("store[0]", "is shipped to by the mirror daemon, and there is no [mirrord]", "add [mirrord], and start `onebeat mirrord` with this file")
		}
	} else if m.Listen.IsValid() && k.ok("mirrord.listen", "stream") {
		if k.c.Stream == nil {
			k.fail("mirrord.listen", "is of no use without certificates", "add [stream] with certificate, key and authorities")
		} else if m.Listen == k.c.Stream.Listen {
			k.fail("mirrord.listen", fmt.Sprintf("%v is the node's own [stream] address", m.Listen), "use another port: the daemon answers when the node does not")
		}
	}
	if len(k.c.Stores) > 0 && k.c.Archive == nil && k.ok("archive", "store") {
		k.fail("store[0]", "nothing is archived, so nothing can be shipped", "add [archive]")
	}
	for i, s := range k.c.Stores {
		if s.KeepUntilShipped && k.c.Archive != nil && k.c.Archive.By == ByNode && k.ok("archive", fmt.Sprintf("store[%d]", i)) {
			k.fail(fmt.Sprintf("store[%d].keep_until_shipped", i), "the node's own process removes old segments and does not know what was shipped", "use archive.by = \"mirrord\"")
		}
	}
	k.stores(k.c.File, k.c.Stores)
	k.counted()
	names, nodes := map[string]bool{}, map[int]bool{}
	for i, s := range k.c.Sites {
		path := fmt.Sprintf("site[%d]", i)
		if names[s.Name] && k.ok(join(path, "name")) {
			k.fail(join(path, "name"), fmt.Sprintf("%q stands there twice", s.Name), "name sites differently")
		}
		if (nodes[s.Node] || s.Node == k.c.Node.Number || k.c.Link(s.Node) != nil) && k.ok(join(path, "node"), "node") {
			k.fail(join(path, "node"), fmt.Sprintf("%d is another host's number", s.Node), "each host has a number of its own, as in its certificate")
		}
		names[s.Name], nodes[s.Node] = true, true
	}
	if len(k.c.Sites) > 0 && k.c.Stream == nil && k.ok("stream", "site[0]") {
		k.fail("site[0]", "is of no use without certificates", "add [stream] with certificate, key and authorities")
	}
}

// counted: a lane can wait only for copies that somebody keeps, and for disks that
// this node's process knows of.
func (k *checker) counted() {
	counting := 0
	for _, s := range k.c.Sites {
		if s.Counts {
			counting++
		}
	}
	for i := range k.c.Lanes {
		l, at := &k.c.Lanes[i], func(name string) string { return join(lanePath(i), name) }
		holders := counting
		if l.Peer != 0 {
			holders++
		}
		if l.Copies > holders && k.ok(at("copies"), "site") {
			k.fail(at("copies"), fmt.Sprintf("%d copies, but only %d other hosts keep one that counts", l.Copies, holders), "add a [[site]] with counts = true for each mirror daemon that the lane shall wait for")
		}
		if a := k.c.Archive; a != nil && a.By == ByMirrord && l.Policy == policy.NameArchived && k.ok("archive", at("policy")) {
			k.fail(at("policy"), "archived waits for the node's own archiver, and archive.by is mirrord", "use archive.by = \"node\", or another policy")
		}
	}
}
