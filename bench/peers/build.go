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

//go:embed udpecho.c
var udpechoSource []byte

// Program is the built yardstick, and beside it the UDP echo. Remove deletes
// them.
type Program struct {
	dir  string
	path string
	udp  string
}

// Build compiles the yardsticks into a temporary directory. Without a compiler
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
	p := &Program{dir: dir, path: filepath.Join(dir, "cecho"), udp: filepath.Join(dir, "udpecho")}
	if err := errors.Join(compile(compiler, p.path, cechoSource), compile(compiler, p.udp, udpechoSource)); err != nil {
		return nil, errors.Join(err, p.Remove())
	}
	return p, nil
}

func compile(compiler, path string, text []byte) error {
	source := path + ".c"
	if err := os.WriteFile(source, text, 0o600); err != nil {
		return fmt.Errorf("build %s: %w", filepath.Base(path), err)
	}
	out, err := exec.Command(compiler, "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-o", path, source).CombinedOutput()
	if err != nil {
		return fmt.Errorf("build %s with %s: %w\n%s", filepath.Base(path), compiler, err, out)
	}
	return nil
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
