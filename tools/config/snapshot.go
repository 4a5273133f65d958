package config

import (
	"fmt"
	"path/filepath"
)

// Snapshot says when the lanes' states are saved, and where to. It needs an archive:
// states are made of archived records, away from the order path.
type Snapshot struct {
	// Records and Every: a state is saved when so many records came since the last
	// one, or after so long if any came.
	Records int      `toml:"records" default:"1000000" range:"1000..1000000000"`
	Every   Duration `toml:"every" default:"15m" range:"1s..24h"`
	Keep    int      `toml:"keep" default:"3" range:"1..1000"` // of a lane
	// Dir gets a directory for each lane; empty: beside its archive.
	Dir string `toml:"dir"`
}

func (k *checker) snapshot() {
	s := k.c.Snapshot
	if s == nil {
		return
	}
	if k.c.Archive == nil {
		k.fail("snapshot", "there is no [archive]", "add one: states are rebuilt of archived records")
	}
	if s.Dir != "" && !filepath.IsAbs(s.Dir) {
		k.fail(join("snapshot", "dir"), fmt.Sprintf("%q is not an absolute path", s.Dir), "start it with /")
	}
}
