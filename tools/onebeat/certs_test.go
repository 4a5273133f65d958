package main

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"onebeat/mirror/stream"
)

func TestCerts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	if err := makeCerts(io.Discard, dir, []int{1, 2}, time.Hour); err != nil {
		t.Fatal(err)
	}
	// The same authority again, for one more node; what is there stays.
	if err := makeCerts(io.Discard, dir, []int{3}, time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := makeCerts(io.Discard, dir, []int{1}, time.Hour); err == nil {
		t.Fatal("a key was overwritten")
	}
	if err := makeCerts(io.Discard, dir, []int{256}, time.Hour); err == nil {
		t.Fatal("node 256")
	}
	for node := range 3 {
		name := filepath.Join(dir, []string{"node-1", "node-2", "node-3"}[node])
		c, err := stream.LoadCredentials(name+".crt", name+".key", filepath.Join(dir, "authority.crt"))
		if err != nil || int(c.Node) != node+1 {
			t.Fatalf("%v, %+v", err, c)
		}
		if st, err := os.Stat(name + ".key"); err != nil || st.Mode().Perm() != 0o600 {
			t.Fatalf("%v, %v", err, st)
		}
	}
}
