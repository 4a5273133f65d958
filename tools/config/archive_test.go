package config

import (
	"strings"
	"testing"
)

func TestArchive(t *testing.T) {
	text := strings.Replace(base, "[[lane]]", "[archive]\ndir = \"/a\"\n[[lane]]", 1)
	c, err := Parse("x.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if a := *c.Archive; a != (Archive{Dir: "/a", By: ByNode, SegmentSize: 64 << 20, IO: IOBuffered, Sync: SyncInterval, SyncEvery: 10_000_000, Compress: true}) {
		t.Errorf("%+v", a)
	}
	if c, err := Parse("x.toml", []byte(base)); err != nil || c.Archive != nil {
		t.Error(err, c)
	}
	for _, bad := range []struct{ lines, want string }{
		{"", "archive.dir: missing; add dir"},
		{`dir = "a"`, `archive.dir: "a" is not an absolute path; start it with /`},
		{"dir = \"/a\"\nsegment_size = 100000", "archive.segment_size: 100000B is not a multiple of 4KiB"},
		{"dir = \"/a\"\nsegment_size = \"8GiB\"", "archive.segment_size: 8GiB is out of range; use 64KiB to 4GiB"},
		{"dir = \"/a\"\nio = \"mmap\"", "archive.io: \"mmap\" is not known; use one of buffered, direct"},
		{"dir = \"/a\"\nsync = \"batch\"\nsync_every = \"1ms\"", "archive.sync_every: sync = \"batch\" has no interval"},
		{"dir = \"/a\"\nretain_size = \"128MiB\"", "archive.retain_size: 128MiB holds less than 4 segments of 64MiB"},
		{"dir = \"/a\"\nfsync = true", "archive.fsync: unknown key; known here: dir, by, segment_size"},
	} {
		text := strings.Replace(base, "[[lane]]", "[archive]\n"+bad.lines+"\n[[lane]]", 1)
		if _, err := Parse("x.toml", []byte(text)); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%q: %v, want %s", bad.lines, err, bad.want)
		}
	}
}
