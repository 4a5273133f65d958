package operator

import "fmt"

// Kind is what a command asks for.
type Kind uint16

// Kinds below firstOfApplication are for the session layer, the others for the
// application.
const (
	// SessionTerminate ends a session now; it may come back. Session.
	SessionTerminate Kind = 1
	// SessionBlock terminates it and lets nobody establish it. Session.
	SessionBlock Kind = 2
	// SessionUnblock ends SessionBlock. Session.
	SessionUnblock Kind = 3
	// SessionReset begins its numbers anew, or at Value if that is not 0. Session.
	SessionReset Kind = 4
	// SessionFinish ends a session once its client has everything that was said to
	// it: FIXP's FinishedSending, FinishedReceiving, Terminate. Session.
	SessionFinish Kind = 5

	firstOfApplication Kind = 64

	// RiskSet sets the limit What of a scope to Value: an account, a session, a
	// symbol, or, with none of them named, the default. Unset takes it away.
	RiskSet Kind = 64
	// RiskEnable lets an account trade a symbol again that the repeated execution
	// throttle stopped. Account, Symbol.
	RiskEnable Kind = 65
	// RiskReference sets the reference price of a symbol. Symbol, Price.
	RiskReference Kind = 66
	// Kill blocks a session, an account, or with neither named all, and cancels
	// their open orders.
	Kill Kind = 67
	// KillRelease ends Kill of the same scope. Nothing cancelled comes back.
	KillRelease Kind = 68

	// OrderCancel cancels an open order. Session, Order.
	OrderCancel Kind = 80
	// OrderExecuted says that the venue executed Value more lots, at Price, of an order
	// in doubt. Session, Order.
	OrderExecuted Kind = 81
	// OrderEnded says that an order in doubt trades no more. Session, Order.
	OrderEnded Kind = 82

	// MarketPhase changes the phase of a symbol, or of all if none is named, to Value,
	// at a book. Symbol.
	MarketPhase Kind = 90
)

// None is a session, account or symbol that is not named.
const None = ^uint32(0)

// Unset is the Value of RiskSet that takes a limit away.
const Unset = -1

var kindNames = map[Kind]string{SessionTerminate: "session terminate", SessionBlock: "session block", SessionUnblock: "session unblock",
	SessionReset: "session reset", SessionFinish: "session finish", RiskSet: "risk set", RiskEnable: "risk enable", RiskReference: "risk reference",
	Kill: "kill", KillRelease: "kill release", OrderCancel: "order cancel", OrderExecuted: "order executed", OrderEnded: "order ended",
	MarketPhase: "market phase"}

// String names the kind as the command line does.
func (k Kind) String() string {
	if name, ok := kindNames[k]; ok {
		return name
	}
	return fmt.Sprintf("kind %d", uint16(k))
}

// OfSessions reports whether the command is for the session layer.
func (k Kind) OfSessions() bool { return k < firstOfApplication }

// ParseKind returns the kind of a name.
func ParseKind(name string) (Kind, bool) {
	for k, n := range kindNames {
		if n == name {
			return k, true
		}
	}
	return 0, false
}
