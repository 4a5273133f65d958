package config

import (
	"fmt"
	"path/filepath"
)

// I/O of an archive.
const (
	IOBuffered = "buffered" // through the page cache
	IODirect   = "direct"
)

// When archived records are brought to the disk.
const (
	SyncNone     = "none" // the kernel decides
	SyncInterval = "interval"
	SyncBatch    = "batch" // each piece before the next
)

// Who archives the lanes of a node.
const (
	ByNode    = "node"    // its own process
	ByMirrord = "mirrord" // the mirror daemon on its host, also while no node runs
)

// Archive is where the logs of all lanes go on this node's disk.
type Archive struct {
	Dir string `toml:"dir" required:"true"` // each lane gets a directory in it
	// By says which process writes it; the other one only reads.
	By string `toml:"by" default:"node" oneof:"node|mirrord"`
	// SegmentSize is the length of a file. Two nodes' archives are alike file by
	// file only if theirs is the same.
	SegmentSize Size     `toml:"segment_size" default:"64MiB" range:"64KiB..4GiB"`
	IO          string   `toml:"io" default:"buffered" oneof:"buffered|direct"`
	Sync        string   `toml:"sync" default:"interval" oneof:"none|interval|batch"`
	SyncEvery   Duration `toml:"sync_every" default:"10ms" range:"1ms..1h"` // sync interval
	Compress    bool     `toml:"compress" default:"true"`                   // closed segments
	// RetainSize and RetainAge bound what a lane keeps; 0: everything.
	RetainSize Size     `toml:"retain_size" default:"0"`
	RetainAge  Duration `toml:"retain_age" default:"0s"`
}

// retainSegments is how many segments retain_size must hold: one that is written,
// one that is compressed, and something behind them.
const retainSegments = 4

func (k *checker) archive() {
	a := k.c.Archive
	if a == nil {
		return
	}
	k.checkArchive(a)
	if a.By == ByMirrord && k.c.Mirrord == nil && k.ok("mirrord") {
		k.fail("archive.by", "is mirrord, but there is no [mirrord]", "add the section, and start `onebeat mirrord` with this file")
	}
}

// checkArchive looks at what no single field shows.
func (d *decoder) checkArchive(a *Archive) {
	k := d
	at := func(name string) string { return join("archive", name) }
	if a.Dir != "" && !filepath.IsAbs(a.Dir) {
		k.fail(at("dir"), fmt.Sprintf("%q is not an absolute path", a.Dir), "start it with /")
	}
	if k.ok(at("segment_size")) && a.SegmentSize%4096 != 0 {
		k.fail(at("segment_size"), fmt.Sprintf("%v is not a multiple of 4KiB", a.SegmentSize), "the default is 64MiB")
	}
	if k.has(at("sync_every")) && k.ok(at("sync")) && a.Sync != SyncInterval {
		k.fail(at("sync_every"), fmt.Sprintf("sync = %q has no interval", a.Sync), "remove it, or use sync = \"interval\"")
	}
	if k.ok(at("retain_size"), at("segment_size")) && a.RetainSize != 0 && a.RetainSize < retainSegments*a.SegmentSize {
		k.fail(at("retain_size"), fmt.Sprintf("%v holds less than %d segments of %v", a.RetainSize, retainSegments, a.SegmentSize),
			"keep more, or use a smaller segment_size")
	}
}
