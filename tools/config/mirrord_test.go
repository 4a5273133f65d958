package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMirrordExample(t *testing.T) {
	doc, err := os.ReadFile("example-mirrord.toml")
	if err != nil {
		t.Fatal(err)
	}
	if !HasSources(doc) {
		t.Error("it is taken for a node's file")
	}
	c, err := ParseMirrord("example-mirrord.toml", doc)
	if err != nil {
		t.Fatal(err)
	}
	if c.Mirrord.Number != 9 || len(c.Sources) != 2 || !c.Follow.Compress || c.Lanes[0].RingSize != 16<<20 || c.Follow.KeepSnapshots != 3 || c.Archive.By != ByNode {
		t.Errorf("%+v", c)
	}
	if node, err := os.ReadFile("example-a.toml"); err != nil || HasSources(node) {
		t.Errorf("a node's file is taken for a mirror daemon's: %v", err)
	}
	text := string(doc)
	for _, x := range []struct{ from, to, want string }{
		{"node = 2", "node = 9", "this daemon's own number"},
		{"198.51.100.2:7600", "198.51.100.1:7600", "stands there twice"},
		{`ring_size = "16MiB"`, `ring_size = "3MiB"`, "no power of two"},
		{`compress = true

[follow]`, "by = \"mirrord\"\n\n[follow]", "has no use here"},
		{`# retry = "200ms"  `, `retry = "1m" #`, "less than retry"},
		{`name = "far"  `, `name = "a/b"`, "cannot name a file"},
	} {
		bad := strings.Replace(text, x.from, x.to, 1)
		if x.want == "no power of two" {
			x.want = "is not a power of two"
		}
		if _, err := ParseMirrord("x.toml", []byte(bad)); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: got %v, want %s", x.to, err, x.want)
		}
	}
}

func TestStores(t *testing.T) {
	dir := t.TempDir()
	doc, err := os.ReadFile("example-mirrord.toml")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "m.toml")
	parse := func(store string) (*MirrordFile, error) {
		return ParseMirrord(file, []byte(string(doc)+"\n[[store]]\nname = \"x\"\n"+store))
	}
	bucket := "endpoint = \"127.0.0.1:9000\"\nbucket = \"b\"\ncredentials_file = \"c\"\n"
	if _, err := parse(bucket); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Error(err)
	}
	secret := filepath.Join(dir, "c")
	if err := os.WriteFile(secret, []byte("access_key = A\nsecret_key=S=3\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := parse(bucket); err == nil || !strings.Contains(err.Error(), "others could read it") {
		t.Error(err)
	}
	if err := os.Chmod(secret, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := parse(bucket)
	if err != nil || c.Stores[0].AccessKey != "A" || c.Stores[0].SecretKey != "S=3" {
		t.Errorf("%v", err)
	}
	for store, want := range map[string]string{
		"":                              "needs one of directory and endpoint",
		"directory = \"x\"\n":           "not an absolute path",
		bucket + "directory = \"/x\"\n": "needs one of directory and endpoint",
		"endpoint = \"h:1\"\ncredentials_file = \"c\"\n":                  "name the bucket",
		"directory = \"/x\"\n[[store]]\nname = \"x\"\ndirectory = \"/y\"": "stands there twice",
	} {
		if _, err := parse(store); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", store, err, want)
		}
	}
}

// What example-a.toml shows of the daemon as comments is a configuration.
func TestMirrordOfANode(t *testing.T) {
	path := withKey(t, "example-a.toml")
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(doc)
	begin, end := strings.Index(text, "# [stream] "), strings.Index(text, "# [witness]")
	lines := strings.Split(text[begin:end], "\n")
	for i := range lines {
		lines[i] = strings.TrimPrefix(strings.TrimPrefix(lines[i], "# "), "#")
	}
	section := strings.Join(lines, "\n")
	section = strings.Replace(section, "directory = \"/mnt/vault\"", "", 1)
	with := func(section string) string { return text[:begin] + section + text[end:] }
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "vault.key"), []byte("access_key=a\nsecret_key=b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Parse(path, []byte(with(section)))
	if err != nil {
		t.Fatal(err)
	}
	if c.Mirrord == nil || len(c.Stores) != 1 || len(c.Sites) != 1 || c.Sites[0].Node != 9 || c.Sites[0].Counts {
		t.Errorf("%+v %+v %+v", c.Mirrord, c.Stores, c.Sites)
	}
	for _, x := range []struct{ from, to, want string }{
		{"10.10.0.1:7601", "10.10.0.1:7600", "the node's own [stream] address"},
		{"keep_until_shipped = false", "keep_until_shipped = true", "by = \"mirrord\""},
		{"node = 9", "node = 2", "another host's number"},
		{"[mirrord]", "[mirrord]\n[archive]", ""},
	} {
		bad := strings.Replace(with(section), x.from, x.to, 1)
		if _, err := Parse(path, []byte(bad)); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: got %v, want %s", x.to, err, x.want)
		}
	}
	if _, err := Parse(path, []byte(strings.Replace(text, "by = \"node\"", "by = \"mirrord\"", 1))); err == nil || !strings.Contains(err.Error(), "no [mirrord]") {
		t.Error(err)
	}
}
