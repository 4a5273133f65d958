package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"onebeat/mirror/stream"
)

const day = 24 * time.Hour

func newCerts() *cobra.Command {
	var dir string
	var nodes []int
	var days int
	c := &cobra.Command{
		Use:   "certs --dir DIRECTORY --node N [--node N …]",
		Short: "Make the certificates of [stream]",
		Long: "Make an authority in a directory, if none is there, and a certificate and key for each node, signed by it.\n" +
			"Give each node its own two files and authority.crt; authority.key stays where it is, away from the nodes.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if days < 1 {
				return fmt.Errorf("--days %d: at least one", days)
			}
			return makeCerts(cmd.OutOrStdout(), dir, nodes, time.Duration(days)*day)
		},
	}
	c.Flags().StringVar(&dir, "dir", ".", "where the files are made")
	c.Flags().IntSliceVar(&nodes, "node", nil, "number of a node, of a mirror daemon's host, or of a far site; can be repeated")
	c.Flags().IntVar(&days, "days", 825, "how long the certificates are valid")
	_ = c.MarkFlagRequired("node") // the flag exists
	return c
}

// authorityFor is how many times longer an authority is valid than what it signs.
const authorityFor = 10

func makeCerts(out io.Writer, dir string, nodes []int, validFor time.Duration) error {
	a, err := authority(out, dir, authorityFor*validFor)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		if n < 1 || n > 255 {
			return fmt.Errorf("--node %d: nodes have numbers from 1 to 255", n)
		}
		certificate, key, err := a.Issue(uint8(n), validFor)
		if err != nil {
			return err
		}
		name := filepath.Join(dir, fmt.Sprintf("node-%d", n))
		if err := writePair(name, certificate, key); err != nil {
			return err
		}
		fmt.Fprintf(out, "%s.crt, %s.key: %s, until %s\n", name, name, stream.NodeName(uint8(n)), time.Now().Add(validFor).Format(time.DateOnly))
	}
	return nil
}

// authority reads the one of a directory, or makes it.
func authority(out io.Writer, dir string, validFor time.Duration) (*stream.Authority, error) {
	name := filepath.Join(dir, "authority")
	certificate, err := os.ReadFile(name + ".crt")
	if err == nil {
		key, err := os.ReadFile(name + ".key")
		if err != nil {
			return nil, err
		}
		return stream.LoadAuthority(certificate, key)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	a, err := stream.NewAuthority(validFor)
	if err != nil {
		return nil, err
	}
	certificate, key, err := a.PEM()
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "%s.crt, %s.key: a new authority; keep the key off the nodes\n", name, name)
	return a, writePair(name, certificate, key)
}

// writePair keeps what is there: a key that is in use must not be lost.
func writePair(name string, certificate, key []byte) error {
	k, err := os.OpenFile(name+".key", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("%w; remove it, and %s.crt, for new ones", err, name)
	}
	_, err = k.Write(key)
	if err = errors.Join(err, k.Close()); err != nil {
		return err
	}
	return os.WriteFile(name+".crt", certificate, 0o644)
}
