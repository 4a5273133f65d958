package fixpeers

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

//go:embed quickfix.cpp
var source []byte

// ErrNoQuickFIX says that the client cannot be built here.
var ErrNoQuickFIX = errors.New("no C++ compiler or no QuickFIX: apt-get install g++ libquickfix-dev")

const header = "/usr/include/quickfix/Session.h"

// Program is the built client. Remove deletes it.
type Program struct{ dir string }

// Build compiles the client into a temporary directory; it takes seconds.
func Build() (*Program, error) {
	compiler, err := exec.LookPath("g++")
	if err != nil {
		return nil, fmt.Errorf("%w (g++ is not there)", ErrNoQuickFIX)
	}
	if _, err := os.Stat(header); err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrNoQuickFIX, err)
	}
	dir, err := os.MkdirTemp("", "onebeat-quickfix-")
	if err != nil {
		return nil, fmt.Errorf("build the FIX client: %w", err)
	}
	p := &Program{dir: dir}
	text := filepath.Join(dir, "quickfix.cpp")
	if err := os.WriteFile(text, source, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("build the FIX client: %w", err), p.Remove())
	}
	// QuickFIX's headers have exception specifications, which ended with C++14.
	out, err := exec.Command(compiler, "-std=c++14", "-O1", "-Wall", "-Wextra", "-Werror", "-Wno-deprecated", "-o", p.Path(), text, "-lquickfix").CombinedOutput()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("build the FIX client: %w\n%s", err, out), p.Remove())
	}
	return p, nil
}

// Path is the program's.
func (p *Program) Path() string { return filepath.Join(p.dir, "quickfix") }

// Remove deletes the program.
func (p *Program) Remove() error { return os.RemoveAll(p.dir) }
