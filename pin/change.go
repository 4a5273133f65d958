package pin

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Kinds of changes.
const (
	ChangeFile = "file" // of the kernel's
	ChangeNIC  = "nic"  // by ethtool
)

// Change is one value of the host's that can be put back.
type Change struct {
	Kind    string `json:"kind"`
	Target  string `json:"target"`            // a path, or an interface
	Setting string `json:"setting,omitempty"` // of an interface
	Old     string `json:"old"`
	New     string `json:"new"`
}

func (c *Change) String() string {
	if c.Kind == ChangeNIC {
		return fmt.Sprintf("%s of %s: %s -> %s", c.Setting, c.Target, c.Old, c.New)
	}
	return fmt.Sprintf("%s: %s -> %s", c.Target, c.Old, c.New)
}

// same reports whether two changes are of one value.
func (c *Change) same(d *Change) bool {
	return c.Kind == d.Kind && c.Target == d.Target && c.Setting == d.Setting
}

// chosen is the value of a file that lists all, with the one in force in brackets.
func chosen(text string) string {
	if _, rest, ok := strings.Cut(text, "["); ok {
		if v, _, ok := strings.Cut(rest, "]"); ok {
			return v
		}
	}
	return text
}

// current reads the value as it is.
func (h Host) current(c *Change) (string, error) {
	if c.Kind == ChangeNIC {
		tool := h.ethtool()
		if tool == nil {
			return "", ErrNoSetting
		}
		v, err := getSetting(tool, c.Target, c.Setting)
		return strconv.Itoa(int(v)), err
	}
	if err := changeable(c.Target); err != nil {
		return "", err
	}
	text, err := os.ReadFile(h.path(c.Target))
	return chosen(strings.TrimSpace(string(text))), err
}

// put writes a value.
func (h Host) put(c *Change, value string) error {
	if c.Kind == ChangeNIC {
		n, err := strconv.ParseUint(value, 10, 32)
		if tool := h.ethtool(); err == nil && tool != nil {
			return putSetting(tool, c.Target, c.Setting, uint32(n))
		}
		return fmt.Errorf("%s of %s: %w", c.Setting, c.Target, ErrNoSetting)
	}
	if err := changeable(c.Target); err != nil {
		return err
	}
	// The kernel's files exist: nothing is made.
	f, err := os.OpenFile(h.path(c.Target), os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(value); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// changeable keeps a state file that somebody wrote by hand within the
// kernel's own files.
func changeable(path string) error {
	clean := filepath.Clean(path)
	if clean == path && (strings.HasPrefix(path, "/sys/") || strings.HasPrefix(path, "/proc/sys/") || strings.HasPrefix(path, "/proc/irq/")) {
		return nil
	}
	return fmt.Errorf("%s is no setting of the kernel", path)
}
