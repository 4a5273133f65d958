package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"onebeat/engine/gateway"
	"onebeat/engine/operator"
	"onebeat/tools/control"
)

func newRisk() *cobra.Command {
	c := &cobra.Command{
		Use: "risk", Short: "Show or change the limits of a gateway's risk checks",
		Long: `risk shows and changes the limits that a gateway checks orders against: defaults,
and what an account, a session or a symbol sets for itself. Of what those three set
the strictest counts; the default counts where none of them sets anything. A change
is a record of the lane's log, with who and when: it counts from there on, on both
nodes, and outlives failovers and restarts. docs/risk.md says what each limit means.`,
	}
	c.AddCommand(newRiskShow(), newRiskSet(), newRiskEnable(), newRiskReference())
	return c
}

func newRiskShow() *cobra.Command {
	var f operateFlags
	var scope scopeFlags
	c := &cobra.Command{
		Use: "show", Short: "Show the limits in force, and what is stopped", Args: cobra.NoArgs,
		Long: `show prints the limits that count for the session, account and symbol named, and
whose they are; every scope that sets limits of its own; and what is blocked or
stopped. With --account or --symbol it also prints the positions there.`,
		RunE: func(c *cobra.Command, _ []string) error {
			account, err := scope.accountID()
			if err != nil {
				return err
			}
			var s control.RiskStatus
			return f.show(c, control.Show{What: control.ShowRisk, Session: scope.session, Account: account, Symbol: scope.symbol}, &s,
				func(w io.Writer) { printRisk(w, &s) })
		},
	}
	f.register(c)
	scope.registerSession(c)
	scope.registerAccount(c)
	scope.registerSymbol(c)
	return c
}

func newRiskSet() *cobra.Command {
	var f operateFlags
	var scope scopeFlags
	c := &cobra.Command{
		Use: "set LIMIT=VALUE...", Short: "Set limits of one scope; ask the ACTIVE node", Args: cobra.MinimumNArgs(1),
		Long: `set changes limits of one scope: of a session, an account or a symbol, or, with none
named, the defaults. A value is a number, "off", or "inherit" to take a limit of
the scope away; self_match also takes "refuse" and "cancel", restricted "yes" and "no".

Limits: ` + strings.Join(limitNames(), ", "),
		Example: "  onebeat risk set --config F --session client-1 max_qty_lots=500 max_orders_per_second=200 --why \"new client\"\n" +
			"  onebeat risk set --config F --symbol ONEB restricted=yes --why \"halted\"\n" +
			"  onebeat risk set --config F collar_percent=5",
		RunE: func(c *cobra.Command, args []string) error {
			account, err := scope.accountID()
			if err != nil {
				return err
			}
			var all []control.Operate
			for _, text := range args {
				name, value, err := parseLimit(text)
				if err != nil {
					return err
				}
				all = append(all, control.Operate{Kind: operator.RiskSet.String(), Session: scope.session, Account: account, Symbol: scope.symbol, Limit: name, Value: value})
			}
			for i, o := range all {
				if err := f.give(c, o, "revision"); err != nil {
					return fmt.Errorf("%s: %w", args[i], err)
				}
			}
			return nil
		},
	}
	f.registerWhy(c)
	scope.registerSession(c)
	scope.registerAccount(c)
	scope.registerSymbol(c)
	c.MarkFlagsMutuallyExclusive("session", "account", "symbol")
	return c
}

func limitNames() (names []string) {
	for l := range gateway.LimitCount {
		names = append(names, l.String())
	}
	return names
}

// parseLimit reads LIMIT=VALUE.
func parseLimit(text string) (name string, value int64, err error) {
	name, word, ok := strings.Cut(text, "=")
	l, known := gateway.ParseLimit(name)
	if !ok || !known {
		return "", 0, fmt.Errorf("%q: write LIMIT=VALUE; limits are %s", text, strings.Join(limitNames(), ", "))
	}
	words := map[string]int64{"off": 0, "inherit": gateway.Inherit}
	switch l {
	case gateway.LimitSelfMatch:
		words["refuse"], words["cancel"] = gateway.SelfMatchRefuse, gateway.SelfMatchCancel
	case gateway.LimitRestricted:
		words["yes"], words["no"] = 1, 0
	}
	if v, ok := words[word]; ok {
		return name, v, nil
	}
	value, err = strconv.ParseInt(strings.ReplaceAll(word, "_", ""), 10, 64)
	if err != nil || value < 0 || value > l.Most() {
		return "", 0, fmt.Errorf("%q: give 0 to %d (%s), or %s", text, l.Most(), l.Unit(), strings.Join(slices.Sorted(maps.Keys(words)), ", "))
	}
	return name, value, nil
}

func newRiskEnable() *cobra.Command {
	var f operateFlags
	var scope scopeFlags
	c := &cobra.Command{
		Use: "enable", Short: "Let an account trade a symbol again that the repeated execution throttle stopped; ask the ACTIVE node", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			account, err := scope.accountID()
			if err != nil {
				return err
			}
			return f.give(c, control.Operate{Kind: operator.RiskEnable.String(), Account: account, Symbol: scope.symbol}, "")
		},
	}
	f.registerWhy(c)
	scope.registerAccount(c)
	scope.registerSymbol(c)
	c.MarkFlagsRequiredTogether("account", "symbol")
	c.MarkFlagsOneRequired("account", "symbol")
	return c
}

func newRiskReference() *cobra.Command {
	var f operateFlags
	var scope scopeFlags
	var price int64
	c := &cobra.Command{
		Use: "reference", Short: "Set the reference price of a symbol; ask the ACTIVE node", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.give(c, control.Operate{Kind: operator.RiskReference.String(), Symbol: scope.symbol, Price: price}, "")
		},
	}
	f.registerWhy(c)
	scope.registerSymbol(c)
	c.Flags().Int64Var(&price, "price", 0, "in ticks; 0: there is none, and whoever has a collar is refused")
	cobra.CheckErr(c.MarkFlagRequired("symbol"))
	cobra.CheckErr(c.MarkFlagRequired("price"))
	return c
}

func limitText(name string, value int64) string {
	switch {
	case value == 0:
		return "off"
	case name == gateway.LimitSelfMatch.String():
		return map[int64]string{gateway.SelfMatchRefuse: "refuse", gateway.SelfMatchCancel: "cancel"}[value]
	case name == gateway.LimitRestricted.String():
		return "yes"
	}
	return strconv.FormatInt(value, 10)
}

func printRisk(w io.Writer, s *control.RiskStatus) {
	fmt.Fprintf(w, "lane %d (%s here), limits of revision %d\n", s.Lane, s.State, s.Revision)
	if s.Killed {
		fmt.Fprintln(w, "  KILLED   all are blocked (onebeat kill --all --release)")
	}
	if s.Sweeping {
		fmt.Fprintln(w, "  open orders are being cancelled")
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, l := range s.Limits {
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\n", l.Name, limitText(l.Name, l.Value), l.Unit, l.From)
	}
	t.Flush()
	for _, x := range s.Scopes {
		fmt.Fprintf(w, "  %s %d", x.Scope, x.ID)
		if x.Name != "" {
			fmt.Fprintf(w, " (%s)", x.Name)
		}
		if x.Killed {
			fmt.Fprint(w, "  KILLED")
		}
		for _, name := range slices.Sorted(maps.Keys(x.Limits)) {
			fmt.Fprintf(w, "  %s=%s", name, limitText(name, x.Limits[name]))
		}
		fmt.Fprintln(w)
	}
	for _, a := range s.Accounts {
		fmt.Fprintf(w, "  account %d: %d open orders, gross %d lots, open notional %d bought %d sold, paid %d\n",
			a.Account, a.Orders, a.GrossLots, a.OpenBuyNotional, a.OpenSellNotional, a.PaidNotional)
	}
	for _, p := range s.Positions {
		fmt.Fprintf(w, "  account %d in symbol %d: net %d, open %d bought %d sold, %d executions", p.Account, p.Symbol, p.NetLots, p.OpenBuy, p.OpenSell, p.Executions)
		if p.Stopped {
			fmt.Fprint(w, "  STOPPED by the repeated execution throttle (onebeat risk enable)")
		}
		fmt.Fprintln(w)
	}
}
