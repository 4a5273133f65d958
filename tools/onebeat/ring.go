package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"onebeat/tools/config"
	"onebeat/tools/inspect"
)

// ringFlags say which ring a command reads.
type ringFlags struct {
	configPath, bpffs string
	lane              int
	asJSON            bool
}

func (f *ringFlags) register(c *cobra.Command) {
	c.PersistentFlags().StringVar(&f.configPath, "config", "", "the node's configuration file")
	c.PersistentFlags().StringVar(&f.bpffs, "bpffs", "", "the node's pin directory, instead of --config")
	c.PersistentFlags().IntVar(&f.lane, "lane", 0, "lane id")
	c.PersistentFlags().BoolVar(&f.asJSON, "json", false, "print JSON")
}

func (f *ringFlags) open() (*inspect.Ring, error) {
	dir := f.bpffs
	if dir == "" {
		if f.configPath == "" {
			return nil, errors.New("say which node: --config FILE or --bpffs DIRECTORY")
		}
		cfg, err := config.Load(f.configPath)
		if err != nil {
			return nil, err
		}
		dir = cfg.Node.BPFFS
	}
	return inspect.OpenRing(dir, f.lane)
}

func newRing() *cobra.Command {
	var flags ringFlags
	c := &cobra.Command{Use: "ring", Short: "Read a lane's ring, also that of a dead node"}
	flags.register(c)

	var count int
	tail := &cobra.Command{
		Use: "tail", Short: "Print the newest records", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := flags.open()
			if err != nil {
				return err
			}
			out := bufio.NewWriter(c.OutOrStdout())
			return errors.Join(r.Tail(out, count, flags.asJSON), out.Flush(), r.Close())
		},
	}
	tail.Flags().IntVarP(&count, "count", "n", 20, "how many; 0: all the ring holds")

	verify := &cobra.Command{
		Use: "verify", Short: "Check every record the ring holds", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := flags.open()
			if err != nil {
				return err
			}
			v, bad := r.Verify()
			if flags.asJSON {
				err = json.NewEncoder(c.OutOrStdout()).Encode(v)
			} else {
				_, err = fmt.Fprintf(c.OutOrStdout(), "%s: %d records from %d to %d (tail %d), epochs %d to %d\n",
					v.Authority, v.Records, v.From, v.End, v.Tail, v.FirstEpoch, v.LastEpoch)
			}
			return errors.Join(bad, err, r.Close())
		},
	}
	c.AddCommand(tail, verify)
	return c
}
