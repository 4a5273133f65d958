package node

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// loopPackages are those that a loop's duty cycle runs through.
var loopPackages = []string{"engine", "engine/app", "engine/book", "engine/cold", "engine/fixp", "engine/gateway", "engine/sbe",
	"mirror", "mirror/arbiter", "mirror/lane", "mirror/recv", "mirror/ring", "mirror/role", "mirror/wire", "xdp/frame"}

// coldFiles are others' ends of what a loop uses.
var coldFiles = map[string]string{
	"mirror/feed.go": "who fetches a log waits for room",
}

// Whatever blocks in a duty cycle keeps orders and heartbeats waiting. System calls are not
// looked for.
func TestLoopsDoNotBlock(t *testing.T) {
	seen := 0
	for _, dir := range loopPackages {
		files, err := filepath.Glob(filepath.Join("../..", dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range files {
			name := filepath.Join(dir, filepath.Base(path))
			if _, cold := coldFiles[name]; cold || strings.HasSuffix(path, "_test.go") {
				continue
			}
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, path, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			seen++
			for _, what := range blocks(set, file) {
				t.Errorf("%s: %s", dir, what)
			}
		}
	}
	if seen < 100 {
		t.Errorf("only %d files were found", seen)
	}
}

// blocks tells what may block in a file.
func blocks(set *token.FileSet, file *ast.File) (found []string) {
	say := func(n ast.Node, what string) {
		at := set.Position(n.Pos())
		found = append(found, fmt.Sprintf("%s:%d: %s", filepath.Base(at.Filename), at.Line, what))
	}
	for _, i := range file.Imports {
		path, _ := strconv.Unquote(i.Path.Value) // the parser took it
		if slices.Contains([]string{"sync", "os", "net", "log", "log/slog", "context"}, path) {
			say(i, "imports "+path)
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SendStmt, *ast.SelectStmt, *ast.GoStmt, *ast.ChanType:
			say(n, "a channel, or a goroutine")
		case *ast.UnaryExpr:
			if n.Op == token.ARROW {
				say(n, "receives")
			}
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains([]string{"Sleep", "After", "Tick", "NewTimer", "NewTicker"}, n.Sel.Name) {
				say(n, "waits: time."+n.Sel.Name)
			}
		}
		return true
	})
	return found
}

func TestLoopsDoNotBlockFinds(t *testing.T) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, "x.go", `package x
import "sync"
func f(c chan int) { time.Sleep(1); <-c; go f(c) }`, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := blocks(set, file); len(got) != 5 {
		t.Errorf("found %q, want five", got)
	}
}
