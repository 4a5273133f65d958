package config

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
)

// readKey reads a link key; a relative path is relative to the configuration
// file. It returns what is wrong and the remedy, or nothing.
func readKey(configFile, path string, key *[KeyBytes]byte) (problem, remedy string) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(configFile), path)
	}
	info, err := os.Stat(path)
	if err != nil {
		return err.Error(), "make one with `openssl rand -hex 32`, the same on both nodes"
	}
	if mode := info.Mode(); !mode.IsRegular() || mode.Perm()&0o077 != 0 {
		return fmt.Sprintf("%s has mode %v: others could read the key", path, mode), "chmod 600 " + path
	}
	const greatest = 4 * KeyBytes
	if info.Size() > greatest {
		return fmt.Sprintf("%s has %d bytes", path, info.Size()), "it must hold 64 hexadecimal digits"
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error(), "make it readable for the user of the node"
	}
	b, err := hex.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil || len(b) != KeyBytes {
		// Never quote what is in it.
		return path + " does not hold a key", "it must hold 64 hexadecimal digits, as `openssl rand -hex 32` prints"
	}
	copy(key[:], b)
	if *key == ([KeyBytes]byte{}) {
		return path + " holds a key of zeros", "make one with `openssl rand -hex 32`"
	}
	return "", ""
}
