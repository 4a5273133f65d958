package mirrord

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"onebeat/mirror/disk"
	"onebeat/tools/config"
)

// Ceased says that a host's copies follow no more: they are served by nodes now.
type Ceased struct {
	By     string `json:"by"` // who: why
	WallNs int64  `json:"wall_ns"`
}

func ceasedPath(file *config.MirrordFile) string {
	return filepath.Join(file.Archive.Dir, file.Mirrord.Name+".ceased")
}

// ReadCeased returns what was written when the following ended; nil: it did not.
func ReadCeased(file *config.MirrordFile) (*Ceased, error) {
	b, err := os.ReadFile(ceasedPath(file))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	c := &Ceased{}
	if err := json.Unmarshal(b, c); err != nil {
		return nil, fmt.Errorf("%s: %w; remove it if the copies shall follow", ceasedPath(file), err)
	}
	return c, nil
}

func (c *Ceased) write(file *config.MirrordFile) error {
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(file.Archive.Dir, 0o750); err != nil {
		return err
	}
	return disk.WriteFile(disk.OS{}, file.Archive.Dir, ceasedPath(file), append(b, '\n'))
}

// Cease ends the following of a host whose daemon does not run.
func Cease(file *config.MirrordFile, by string) error {
	if c, err := ReadCeased(file); c != nil || err != nil {
		return err
	}
	c := &Ceased{By: by, WallNs: time.Now().UnixNano()}
	return c.write(file)
}

// Follow lets the copies follow again, from the daemon's next start on.
func Follow(file *config.MirrordFile) error {
	err := os.Remove(ceasedPath(file))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (d *daemon) tellCeased(c *Ceased) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.status.Ceased = c.By
}
