package engine

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// pure cores take time as an argument and return their effects.
var (
	pureFolders = []string{"app", "sbe", "fixp", "book", "gateway", "client", "table", "venue", "readmodel", "fix/convert", "fix/store", "cold", "operator",
		"../mirror/ring", "../mirror/wire", "../mirror/recv", "../mirror/role", "../mirror/lane"}
	// machine.go belongs to the pure part of this folder.
	pureFiles  = []string{"machine.go", "operate.go", "venues.go", "venues_fix.go"}
	impureRoot = map[string]bool{"net": true, "os": true, "syscall": true, "time": true, "unsafe": true}
)

func TestPureCoresImportNoSystem(t *testing.T) {
	files := append([]string(nil), pureFiles...)
	for _, folder := range pureFolders {
		found, err := filepath.Glob(filepath.Join(folder, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		if len(found) == 0 && !strings.HasPrefix(folder, "..") {
			t.Errorf("no Go files in %s", folder)
		}
		files = append(files, found...)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		if _, err := os.Stat(file); err != nil {
			t.Errorf("%v", err)
			continue
		}
		checkImports(t, file)
	}
}

func checkImports(t *testing.T, file string) {
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		t.Error(err)
		return
	}
	for _, spec := range f.Imports {
		path, _ := strconv.Unquote(spec.Path.Value)
		root, _, _ := strings.Cut(path, "/")
		if root == "unsafe" && strings.HasSuffix(file, "_unsafe.go") {
			continue
		}
		if path == "golang.org/x/sys/cpu" {
			continue // which instructions there are is no effect
		}
		if impureRoot[root] || strings.HasPrefix(path, "golang.org/x/sys") {
			t.Errorf("%s imports %s: a pure core takes time as an argument and returns its effects", file, path)
		}
	}
}
