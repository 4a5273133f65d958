package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"onebeat/bench/lab"
)

func newLab() *cobra.Command {
	c := &cobra.Command{Use: "lab", Short: "Network namespaces with a client, nodes, a venue, a switch, cables and a witness"}
	var name, topology string
	c.PersistentFlags().StringVar(&name, "name", "lab", "name of the lab")

	var spec lab.Spec
	up := &cobra.Command{
		Use: "up", Short: "Build the lab; it stays until down", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			spec.Name, spec.Topology, spec.Detached = name, lab.Topology(topology), true
			l, err := lab.Up(spec)
			if err != nil {
				return err
			}
			out := c.OutOrStdout()
			for _, place := range l.Places() {
				fmt.Fprintf(out, "%-8s ip netns exec %s …\n", place, l.Namespace(place))
			}
			_, err = fmt.Fprintf(out, "run directory %s, pins under %s\n", l.RunDir, l.PinDir)
			return err
		},
	}
	up.Flags().StringVar(&topology, "topology", string(lab.Switched), "switched (two nodes, venue, switch, witness), n-plus-one (a third node) or pair")
	up.Flags().BoolVar(&spec.FaultBox, "fault-box", false, "lead the nodes' cables through a place where frames can be harmed")

	down := &cobra.Command{
		Use: "down", Short: "End what runs in the lab and remove it", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			l, err := lab.Open("", name)
			if err != nil {
				return err
			}
			return l.Down()
		},
	}

	run := &cobra.Command{
		Use: "exec PLACE -- PROGRAM [ARGUMENT…]", Short: "Run a program in a place of the lab", Args: cobra.MinimumNArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			l, err := lab.Open("", name)
			if err != nil {
				return err
			}
			p := l.Command(args[0], args[1], args[2:]...)
			p.SysProcAttr = nil // a program at the terminal gets its Ctrl-C
			p.Stdin, p.Stdout, p.Stderr = os.Stdin, os.Stdout, os.Stderr
			err = p.Run()
			if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
				os.Exit(max(exit.ExitCode(), 1)) // the program has said why
			}
			return err
		},
	}

	var asJSON bool
	list := &cobra.Command{
		Use: "list", Short: "List the labs that are up", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			labs, err := lab.List("")
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(labs)
			}
			for _, l := range labs {
				fmt.Fprintf(c.OutOrStdout(), "%-24s %-10s %s\n", l.Name, l.Topology, strings.Join(l.Places(), " "))
			}
			return nil
		},
	}
	list.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.AddCommand(up, down, run, list)
	return c
}
