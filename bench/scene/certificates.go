package scene

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"onebeat/mirror/stream"
)

// WriteCertificates makes an authority and certificates of numbered nodes for an hour, and
// writes them into a directory: authority.crt, node-N.crt and node-N.key.
func WriteCertificates(dir string, nodes ...int) error {
	const validFor = time.Hour
	a, err := stream.NewAuthority(validFor)
	if err != nil {
		return err
	}
	pem, _, err := a.PEM()
	if err != nil {
		return err
	}
	files := map[string][]byte{"authority.crt": pem}
	for _, n := range nodes {
		certificate, key, err := a.Issue(uint8(n), validFor)
		if err != nil {
			return err
		}
		files[fmt.Sprintf("node-%d.crt", n)], files[fmt.Sprintf("node-%d.key", n)] = certificate, key
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			return err
		}
	}
	return nil
}
