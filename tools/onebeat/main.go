// Command onebeat runs nodes, the lab, and everything that measures them.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	// The first signal asks politely; after it a second one kills.
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	context.AfterFunc(ctx, cancel)
	if err := newRoot().ExecuteContext(ctx); err != nil {
		if errors.Is(err, errPowerOff) {
			os.Exit(2)
		}
		if !errors.Is(err, errSilent) {
			fmt.Fprintln(os.Stderr, "onebeat: "+err.Error())
		}
		os.Exit(1)
	}
}

// errSilent ends the program with status 1 after the command has said why.
var errSilent = errors.New("")

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "onebeat",
		Short:         "A microsecond order path on two hosts that outlives one of them",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newNode(), newVenue(), newMarket(), newLab(), newLoad(), newDrill(), newDemo(), newBenchCommand(), newBenchReader(), newBenchAcceptor(), newBenchAttacker(), newBenchSink(), newBenchInstructionsChild(), newStatus(), newPromote(), newPolicy(), newRing(), newSnapshot(), newVersion(), newWitness(), newFence(), newCerts(), newExport(), newDoctor(), newSchema())
	root.AddCommand(newMirrord(), newDR())
	root.AddCommand(newOrder(), newSession(), newRisk(), newKill(), newExplain())
	return root
}

// needRoot refuses what cannot work without it.
func needRoot(what string) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("%s needs root (network namespaces, AF_XDP, BPF): run it with sudo", what)
	}
	return nil
}
