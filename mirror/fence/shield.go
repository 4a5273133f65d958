package fence

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ipmitoolParameter is how agents of the ipmilan family are told which ipmitool
// to run. They put the password on its command line, where every user of the
// host sees it.
const ipmitoolParameter = "ipmitool_path"

// secretsVariable tells the stand-in which file to read; the name of a file is
// no secret.
const secretsVariable = "ONEBEAT_FENCE_SECRETS"

// ipmitoolVariable tells it which ipmitool to run.
const ipmitoolVariable = "ONEBEAT_FENCE_IPMITOOL"

//go:embed ipmitool.sh
var standIn []byte

// shield is a stand-in for ipmitool that takes the password from the secrets
// file and hands it over by a pipe. The agent itself is given no password.
type shield struct{ path string }

// newShield writes the stand-in into a directory of its own, which only this
// user can look into.
func newShield() (*shield, error) {
	dir, err := os.MkdirTemp("", "onebeat-fence-")
	if err != nil {
		return nil, fmt.Errorf("directory for the stand-in of ipmitool: %w", err)
	}
	path := filepath.Join(dir, "ipmitool")
	if err := os.WriteFile(path, standIn, 0o700); err != nil {
		return nil, errors.Join(fmt.Errorf("stand-in for ipmitool: %w", err), os.RemoveAll(dir))
	}
	return &shield{path}, nil
}

func (s *shield) close() error { return os.RemoveAll(filepath.Dir(s.path)) }
