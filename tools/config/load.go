package config

import (
	"fmt"
	"os"
)

// Load reads, decodes and checks a node's file. The error of a bad file is an
// Errors with everything that is wrong with it.
func Load(path string) (*Config, error) {
	doc, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return Parse(path, doc)
}
