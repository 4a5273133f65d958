package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"onebeat/engine/operator"
	"onebeat/tools/control"
)

// operateTimeout is beyond what a node waits for a command to be where its lane's
// policy wants it.
const operateTimeout = 8 * time.Second

// operateFlags are what every operator's command has.
type operateFlags struct {
	node   nodeFlags
	lane   int
	why    string
	asJSON bool
}

func (f *operateFlags) register(c *cobra.Command) {
	f.node.register(c)
	c.Flags().IntVar(&f.lane, "lane", 0, "lane id")
	c.Flags().BoolVar(&f.asJSON, "json", false, "print JSON")
}

// registerWhy is for commands that change something.
func (f *operateFlags) registerWhy(c *cobra.Command) {
	f.register(c)
	c.Flags().StringVar(&f.why, "why", "", fmt.Sprintf("why, for the lane's log (at most %d bytes); who and when the node knows", operator.WhyMaxBytes))
}

// scopeFlags name a session, an account or a symbol.
type scopeFlags struct {
	session, symbol string
	account         int64
}

const noAccount = -1

func (f *scopeFlags) registerSession(c *cobra.Command) {
	c.Flags().StringVar(&f.session, "session", "", "a session, by its name, its UUID or its index")
}

func (f *scopeFlags) registerAccount(c *cobra.Command) {
	c.Flags().Int64Var(&f.account, "account", noAccount, "an account, by its number")
}

func (f *scopeFlags) registerSymbol(c *cobra.Command) {
	c.Flags().StringVar(&f.symbol, "symbol", "", "a symbol, by its name or its number")
}

func (f *scopeFlags) accountID() (*uint32, error) {
	if f.account == noAccount {
		return nil, nil
	}
	if f.account < 0 || f.account >= int64(operator.None) {
		return nil, fmt.Errorf("--account %d: give 0 to %d", f.account, operator.None-1)
	}
	id := uint32(f.account)
	return &id, nil
}

// give gives a command to the node and prints what became of it; unit says what its
// count is of.
func (f *operateFlags) give(c *cobra.Command, o control.Operate, unit string) error {
	path, err := f.node.path()
	if err != nil {
		return err
	}
	if len(f.why) > operator.WhyMaxBytes {
		return fmt.Errorf("--why has %d bytes: at most %d are kept", len(f.why), operator.WhyMaxBytes)
	}
	o.Lane, o.Why = f.lane, f.why
	var r control.Operated
	if err := control.Call(path, control.Request{Cmd: control.CmdOperate, Operate: &o}, &r, operateTimeout); err != nil {
		return err
	}
	if f.asJSON {
		return json.NewEncoder(c.OutOrStdout()).Encode(r)
	}
	fmt.Fprintf(c.OutOrStdout(), "lane %d  %s: %s", r.Lane, r.Command, r.Outcome)
	if unit != "" && r.Outcome == operator.Applied.String() {
		fmt.Fprintf(c.OutOrStdout(), ", %s %d", unit, r.Count)
	}
	fmt.Fprintf(c.OutOrStdout(), "  (record at %d, epoch %d)\n", r.Position, r.Epoch)
	return nil
}

// show asks the node for something and prints it.
func (f *operateFlags) show(c *cobra.Command, s control.Show, into any, print func(w io.Writer)) error {
	path, err := f.node.path()
	if err != nil {
		return err
	}
	s.Lane = f.lane
	if err := control.Call(path, control.Request{Cmd: control.CmdShow, Show: &s}, into, operateTimeout); err != nil {
		return err
	}
	if f.asJSON {
		return json.NewEncoder(c.OutOrStdout()).Encode(into)
	}
	print(c.OutOrStdout())
	return nil
}

// parseOrder reads SESSION:CLORDID, or the ClOrdID that the venue has.
func parseOrder(text string) (control.OrderName, error) {
	session, id, both := strings.Cut(text, ":")
	if both {
		if session == "" || id == "" {
			return control.OrderName{}, fmt.Errorf("%q is no order: write SESSION:CLORDID, like client-1:42", text)
		}
		return control.OrderName{Session: session, Text: id}, nil
	}
	key, err := strconv.ParseUint(text, 0, 64)
	if err != nil || key>>48 == 0 {
		return control.OrderName{}, fmt.Errorf("%q is no order: write SESSION:CLORDID, or the ClOrdID that the venue has", text)
	}
	return control.OrderName{Session: strconv.FormatUint(key>>48, 10), ClOrdID: key & (1<<48 - 1)}, nil
}

func newKill() *cobra.Command {
	var f operateFlags
	var scope scopeFlags
	var all, release bool
	c := &cobra.Command{
		Use: "kill", Short: "The kill switch: block a session, an account or all, and cancel their open orders", Args: cobra.NoArgs,
		Long: `kill blocks new orders and replaces of a session, an account or of all, and cancels
what they have open, some orders with each record until none is left. Cancels of
clients are still taken. It stays so, over failovers and restarts, until somebody
releases it; nothing that was cancelled comes back. Ask the ACTIVE node.`,
		Example: "  onebeat kill --config F --session client-1 --why \"runaway strategy\"\n" +
			"  onebeat kill --config F --all --why \"exchange asks for it\"\n" +
			"  onebeat kill --config F --session client-1 --release",
		RunE: func(c *cobra.Command, _ []string) error {
			account, err := scope.accountID()
			if err != nil {
				return err
			}
			o := control.Operate{Kind: operator.Kill.String(), Session: scope.session, Account: account}
			unit := "open orders being cancelled:"
			if release {
				o.Kind, unit = operator.KillRelease.String(), ""
			}
			return f.give(c, o, unit)
		},
	}
	f.registerWhy(c)
	scope.registerSession(c)
	scope.registerAccount(c)
	c.Flags().BoolVar(&all, "all", false, "everybody")
	c.Flags().BoolVar(&release, "release", false, "end it")
	c.MarkFlagsOneRequired("session", "account", "all")
	c.MarkFlagsMutuallyExclusive("session", "account", "all")
	return c
}

func newSession() *cobra.Command {
	c := &cobra.Command{Use: "session", Short: "List, end or block the clients' sessions of a lane"}
	c.AddCommand(newSessionList())
	for _, x := range []struct {
		use, short string
		kind       operator.Kind
	}{
		{"terminate", "End a session now; its client may establish it again", operator.SessionTerminate},
		{"finish", "End a session once its client has received everything", operator.SessionFinish},
		{"block", "End a session and let nobody establish it", operator.SessionBlock},
		{"unblock", "Let a blocked session be established again", operator.SessionUnblock},
		{"reset", "Begin the numbers of a session that nobody has anew", operator.SessionReset},
	} {
		var f operateFlags
		var value int64
		sub := &cobra.Command{
			Use: x.use + " SESSION", Short: x.short + "; ask the ACTIVE node", Args: cobra.ExactArgs(1),
			RunE: func(c *cobra.Command, args []string) error {
				return f.give(c, control.Operate{Kind: x.kind.String(), Session: args[0], Value: value}, "")
			},
		}
		f.registerWhy(sub)
		if x.kind == operator.SessionReset {
			sub.Flags().Int64Var(&value, "at", 0, "the next number of both sides, where the protocol lets them begin elsewhere than at 1")
		}
		c.AddCommand(sub)
	}
	return c
}

func newSessionList() *cobra.Command {
	var f operateFlags
	c := &cobra.Command{
		Use: "list", Short: "Show every session, its numbers and its open orders", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var s control.SessionList
			return f.show(c, control.Show{What: control.ShowSessions}, &s, func(w io.Writer) { printSessions(w, &s) })
		},
	}
	f.register(c)
	return c
}
