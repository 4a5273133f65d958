package pin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// DefaultState is where Apply keeps what was before.
const DefaultState = "/var/lib/onebeat/doctor.json"

// state is what Apply has changed, or was about to.
type state struct {
	// BootID: a host that was started anew has its values as they were.
	BootID  string   `json:"boot_id"`
	Changes []Change `json:"changes"`
}

// Outcome is what became of one change.
type Outcome struct {
	Change
	// Done: the value was written. Else Why says what kept it, "" that it was as
	// wanted already.
	Done bool   `json:"done"`
	Why  string `json:"why,omitempty"`
}

// Apply makes changes. What was before is on the disk before the first of them
// is made: who dies in between can be undone all the same. One that fails does
// not keep the others.
func (h Host) Apply(path string, changes []Change) ([]Outcome, error) {
	unlock, err := lockState(path)
	if err != nil {
		return nil, err
	}
	defer unlock()
	s, err := h.readState(path)
	if err != nil {
		return nil, err
	}
	for i := range changes {
		s.remember(&changes[i])
	}
	if err := s.write(path); err != nil {
		return nil, err
	}
	var outcomes []Outcome
	for i := range changes {
		c := &changes[i]
		o := Outcome{Change: *c}
		if now, err := h.current(c); err != nil {
			o.Why = err.Error()
		} else if now != c.New {
			if err := h.put(c, c.New); err != nil {
				o.Why = err.Error()
			}
			o.Done = o.Why == ""
		}
		outcomes = append(outcomes, o)
	}
	return outcomes, nil
}

// Revert puts back what Apply changed, the last first, and forgets it. What
// somebody else has changed since is left as it is.
func (h Host) Revert(path string) ([]Outcome, error) {
	unlock, err := lockState(path)
	if err != nil {
		return nil, err
	}
	defer unlock()
	s, err := h.readState(path)
	if err != nil {
		return nil, err
	}
	var outcomes []Outcome
	var left []Change
	for i := len(s.Changes) - 1; i >= 0; i-- {
		c := s.Changes[i]
		o := Outcome{Change: Change{c.Kind, c.Target, c.Setting, c.New, c.Old}}
		switch now, err := h.current(&c); {
		case err != nil:
			o.Why = err.Error()
			left = append([]Change{c}, left...)
		case now == c.Old:
		case now != c.New:
			o.Why = fmt.Sprintf("is %s by now: somebody else changed it, and it is left so", now)
		default:
			if err := h.put(&c, c.Old); err != nil {
				o.Why = err.Error()
				left = append([]Change{c}, left...)
			}
			o.Done = o.Why == ""
		}
		outcomes = append(outcomes, o)
	}
	if len(left) == 0 {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return outcomes, err
		}
		return outcomes, nil
	}
	s.Changes = left
	return outcomes, s.write(path)
}

// remember notes a change. Of a value that was changed before, what was before
// that counts.
func (s *state) remember(c *Change) {
	for i := range s.Changes {
		if s.Changes[i].same(c) {
			s.Changes[i].New = c.New
			return
		}
	}
	s.Changes = append(s.Changes, *c)
}

func (h Host) bootID() string {
	id, err := h.read("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return id
}

// readState reads what was changed since this host started.
func (h Host) readState(path string) (*state, error) {
	now := &state{BootID: h.bootID()}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return now, nil
	}
	if err != nil {
		return nil, err
	}
	var s state
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("%s is harmed: %w; remedy: look at it, put its values back by hand, and remove it", path, err)
	}
	if s.BootID != now.BootID {
		return now, nil
	}
	return &s, nil
}

// write replaces the file: it is the old one or the new one, whole.
func (s *state) write(path string) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	part := path + ".part"
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.Write(append(b, '\n')); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(part, path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// lockState keeps two from changing a host at once.
func lockState(path string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: another one is at work: %w", path, err), f.Close())
	}
	return func() { f.Close() }, nil
}
