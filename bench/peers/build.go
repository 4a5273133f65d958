package peers

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

//go:embed cecho.c
var cechoSource []byte

// Program is the built yardstick. Remove deletes it.
type Program struct {
	dir  string
	path string
}

// Build compiles the yardstick into a temporary directory. Without a compiler
// the error is ErrNoCompiler.
func Build() (*Program, error) {
	compiler, err := findCompiler()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "onebeat-cecho-")
	if err != nil {
		return nil, fmt.Errorf("build C echo: %w", err)
	}
	p := &Program{dir: dir, path: filepath.Join(dir, "cecho")}
	source := filepath.Join(dir, "cecho.c")
	if err := os.WriteFile(source, cechoSource, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("build C echo: %w", err), p.Remove())
	}
	out, err := exec.Command(compiler, "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-o", p.path, source).CombinedOutput()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("build C echo with %s: %w\n%s", compiler, err, out), p.Remove())
	}
	return p, nil
}

func findCompiler() (string, error) {
	names := []string{"cc", "gcc", "clang", "clang-16"}
	if cc := os.Getenv("CC"); cc != "" {
		names = []string{cc}
	}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrNoCompiler
}

// Remove deletes the program.
func (p *Program) Remove() error { return os.RemoveAll(p.dir) }
