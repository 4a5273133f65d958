package lane

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWord(t *testing.T) {
	p := uint64(MakeWord(7, Standby))
	w := Load(&p)
	if w.Epoch() != 7 || w.State() != Standby || w.String() != "7/STANDBY" || w.With(Active) != MakeWord(7, Active) {
		t.Error(w)
	}
	if Swap(&p, MakeWord(7, Active), MakeWord(8, Active)) || !Swap(&p, w, w.With(Candidate)) || Load(&p).State() != Candidate {
		t.Error("swap")
	}
}

func TestRecordRoundTrip(t *testing.T) {
	a, b := Member{1, 11}, Member{2, 22}
	var zero Record
	one := zero.Alone(a)
	two := one.Pair(b, a)
	for _, r := range []Record{zero, one, two} {
		buf := make([]byte, RecordBytes)
		r.Put(buf)
		var got Record
		if !got.Parse(buf) || got != r {
			t.Errorf("%v became %v", r, got)
		}
	}
	if two.Epoch != 2 || !two.Has(a) || two.Has(Member{1, 12}) || !two.Names(1) || two.Names(0) || two.Count() != 2 {
		t.Error(two)
	}
}

// The pure cores take time as an argument and touch no device.
func TestPureCores(t *testing.T) {
	forbidden := map[string]bool{"net": true, "os": true, "syscall": true, "time": true}
	for _, dir := range []string{"lane", "ring", "wire", "recv", "role", "arbiter", "policy", "sim"} {
		files, err := filepath.Glob(filepath.Join("..", dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatal(dir, err)
		}
		for _, f := range files {
			src, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			tree, err := parser.ParseFile(token.NewFileSet(), f, src, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range tree.Imports {
				path := strings.Trim(i.Path.Value, `"`)
				if !strings.HasSuffix(f, "_test.go") && forbidden[path] {
					t.Errorf("%s imports %s", f, path)
				}
				if path == "unsafe" && !strings.HasSuffix(f, "_unsafe.go") && !strings.HasSuffix(f, "_test.go") {
					t.Errorf("%s uses unsafe", f)
				}
			}
		}
	}
}
