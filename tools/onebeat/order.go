package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"onebeat/engine/operator"
	"onebeat/tools/control"
)

func newOrder() *cobra.Command {
	c := &cobra.Command{
		Use: "order", Short: "Look at an order, cancel it, or say what became of one in doubt",
		Long: `order looks at one order of a lane, or changes it. An order is named by its session
and the client's ClOrdID, as in client-1:42, or by the ClOrdID that the venue has.

An order is in doubt when the venue does not know it any more though it was sent: it
may have been executed. It stays open with all that it reserves until a report of
the venue or a person decides: ask the venue, then say what it says with "executed"
or "ended". The client is told like of any other execution or end.`,
	}
	c.AddCommand(newOrderStatus(), newOrderDoubt(),
		newOrderChange("cancel", "Cancel an open order", operator.OrderCancel, false),
		newOrderChange("executed", "Say that an order in doubt was executed, all of it or some lots", operator.OrderExecuted, true),
		newOrderChange("ended", "Say that an order in doubt trades no more", operator.OrderEnded, false))
	return c
}

func newOrderStatus() *cobra.Command {
	var f operateFlags
	c := &cobra.Command{
		Use: "status ORDER", Short: "Show an order, open or finished a while ago", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			name, err := parseOrder(args[0])
			if err != nil {
				return err
			}
			var o control.OrderStatus
			return f.show(c, control.Show{What: control.ShowOrder, Session: name.Session, ClOrdID: name.ClOrdID, Text: name.Text}, &o,
				func(w io.Writer) { printOrder(w, &o) })
		},
	}
	f.register(c)
	return c
}

func newOrderDoubt() *cobra.Command {
	var f operateFlags
	c := &cobra.Command{
		Use: "doubt", Short: "List the open orders in doubt", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var s control.OrderList
			return f.show(c, control.Show{What: control.ShowDoubt}, &s, func(w io.Writer) {
				for i := range s.Orders {
					printOrder(w, &s.Orders[i])
				}
				if len(s.Orders) == 0 {
					fmt.Fprintln(w, "no order is in doubt")
				}
			})
		},
	}
	f.register(c)
	return c
}

func newOrderChange(use, short string, kind operator.Kind, executed bool) *cobra.Command {
	var f operateFlags
	var lots, price int64
	c := &cobra.Command{
		Use: use + " ORDER", Short: short + "; ask the ACTIVE node", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			name, err := parseOrder(args[0])
			if err != nil {
				return err
			}
			return f.give(c, control.Operate{Kind: kind.String(), Session: name.Session, ClOrdID: name.ClOrdID, Text: name.Text, Value: lots, Price: price}, "")
		},
	}
	f.registerWhy(c)
	if executed {
		c.Flags().Int64Var(&lots, "lots", 0, "how many lots, at most what is left of the order")
		c.Flags().Int64Var(&price, "price", 0, "at which price, in ticks")
		cobra.CheckErr(c.MarkFlagRequired("lots"))
		cobra.CheckErr(c.MarkFlagRequired("price"))
	}
	return c
}

func printOrder(w io.Writer, o *control.OrderStatus) {
	id := o.Text
	if id == "" {
		id = fmt.Sprint(o.ClOrdID)
	}
	fmt.Fprintf(w, "%s:%s  %s %s %d lots of symbol %d at %d (%s), account %d\n", o.Session, id, o.Status, o.Side, o.QtyLots, o.Symbol, o.PriceTicks, o.Type+" "+o.TIF, o.Account)
	fmt.Fprintf(w, "  executed %d, left %d; at venue %d it is %d, order id %d\n", o.CumLots, o.LeavesLots, o.Venue, o.VenueID, o.OrderID)
	if o.InDoubt {
		fmt.Fprintln(w, "  IN DOUBT: the venue does not know it any more; ask the venue, then: onebeat order executed, or ended")
	}
}

func printSessions(w io.Writer, s *control.SessionList) {
	fmt.Fprintf(w, "lane %d (%s here)\n", s.Lane, s.State)
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "  index\tname\tstate\tnext in\tnext out\topen orders\t")
	for _, x := range s.Sessions {
		note := ""
		if x.Killed {
			note += "KILLED "
		}
		if x.Blocked {
			note += "BLOCKED"
		}
		fmt.Fprintf(t, "  %d\t%s\t%s\t%d\t%d\t%d\t%s\n", x.Index, x.Name, x.State, x.NextIn, x.NextOut, x.Orders, note)
	}
	t.Flush()
}
