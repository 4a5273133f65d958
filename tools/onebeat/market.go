package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"onebeat/engine/book"
	"onebeat/engine/operator"
	"onebeat/tools/control"
)

func newMarket() *cobra.Command {
	c := &cobra.Command{
		Use: "market", Short: "Change the phase of a book's symbols",
		Long: `market changes what a book does with orders in one symbol, or in all:
  open      continuous trading; what crosses trades first
  pre-open  day limit orders rest and do not trade
  halt      cancels only
  close     nothing; what rests stays
It is a record of the lane's log, with who and when.`,
	}
	for _, x := range []struct {
		use, short string
		phase      book.Phase
	}{{"open", "Trade", book.Open}, {"pre-open", "Collect orders without trading", book.PreOpen},
		{"halt", "Take cancels only", book.Halted}, {"close", "Take nothing", book.Closed}} {
		c.AddCommand(newMarketPhase(x.use, x.short, x.phase))
	}
	return c
}

func newMarketPhase(use, short string, phase book.Phase) *cobra.Command {
	var node nodeFlags
	ask := control.Operate{Kind: operator.MarketPhase.String(), Value: int64(phase)}
	c := &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			path, err := node.path()
			if err != nil {
				return err
			}
			var done control.Operated
			if err := control.Call(path, control.Request{Cmd: control.CmdOperate, Operate: &ask}, &done, controlTimeout); err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "lane %d: %s: %s\n", done.Lane, done.Command, done.Outcome)
			return err
		},
	}
	node.register(c)
	c.Flags().IntVar(&ask.Lane, "lane", 0, "lane id")
	c.Flags().StringVar(&ask.Symbol, "symbol", "", "name or id; default: all symbols")
	c.Flags().StringVar(&ask.Why, "why", "", "for the log")
	return c
}
