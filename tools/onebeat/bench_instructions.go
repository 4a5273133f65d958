package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"onebeat/bench/shapes"
	"onebeat/bench/steps"
	"onebeat/pin"
	"onebeat/tools/config"
)

// newBenchInstructions counts in a child process of the same program.
func newBenchInstructions() *cobra.Command {
	b := benchFlags{setting: shapes.Setting{Shape: shapes.Mirrored, Auth: true}}
	orders, top := 0, 0
	c := &cobra.Command{
		Use: "instructions", Short: "How many instructions an order takes in user space, and where", Args: cobra.NoArgs,
		Long: "instructions lets a child process serve orders and counts, by single steps, what the primary's thread executes\n" +
			"in the cycle that takes one: from the look at the order NIC to the room for the next. What the kernel does\n" +
			"in a system call is one instruction. The figure depends on no clock, cache or neighbour.",
		RunE: func(c *cobra.Command, _ []string) error {
			if err := needRoot("bench instructions"); err != nil {
				return err
			}
			self, err := os.Executable()
			if err != nil {
				return err
			}
			s := b.setting
			n, err := steps.Child(c.Context(), exec.Command(self, "bench-instructions", s.Shape, s.App, s.Release,
				strconv.FormatBool(s.Auth), strconv.Itoa(orders)))
			if err != nil {
				return err
			}
			if b.asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(n)
			}
			return writeInstructions(c.OutOrStdout(), s.Name(), n, top)
		},
	}
	f := c.Flags()
	f.StringVar(&b.setting.Shape, "shape", shapes.Mirrored, "order or mirrored")
	f.StringVar(&b.setting.App, "app", config.AppBook, "book or gateway")
	f.StringVar(&b.setting.Release, "release", config.ReleaseRide, "mirrored: who releases, as for bench")
	f.BoolVar(&b.setting.Auth, "auth", true, "mirrored: authenticate link frames")
	f.IntVar(&orders, "count", 8, "orders counted; those of a book rest and trade in turn")
	f.IntVar(&top, "top", 30, "functions listed, of the cheapest order")
	f.BoolVar(&b.asJSON, "json", false, "print JSON")
	return c
}

func writeInstructions(w io.Writer, name string, n *steps.Count, top int) error {
	_, err := fmt.Fprintf(w, "%s: %d instructions in user space; of %d orders: %v\n", name, n.Least(), len(n.Pieces), n.Pieces)
	for i, f := range n.Where {
		if i == top || err != nil {
			break
		}
		_, err = fmt.Fprintf(w, "%6d  %s\n", f.Instructions, f.Name)
	}
	return err
}

// newBenchInstructionsChild is that child process.
func newBenchInstructionsChild() *cobra.Command {
	return &cobra.Command{Use: "bench-instructions SHAPE APP RELEASE AUTH ORDERS", Hidden: true, Args: cobra.ExactArgs(5),
		RunE: func(c *cobra.Command, args []string) (err error) {
			auth, errAuth := strconv.ParseBool(args[3])
			orders, errOrders := strconv.Atoi(args[4])
			layout, errLayout := shapes.DefaultLayout()
			if err := errors.Join(errAuth, errOrders, errLayout); err != nil {
				return err
			}
			if err := pin.Reexec(); err != nil {
				return err
			}
			if err := steps.Attend(c.OutOrStdout(), c.InOrStdin()); err != nil {
				return err
			}
			bench, err := shapes.New(shapes.Options{Layout: layout, Count: orders, Limit: time.Minute})
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, bench.Close()) }()
			return bench.Instructions(c.Context(), shapes.Setting{Shape: args[0], App: args[1], Release: args[2], Auth: auth}, orders)
		}}
}
