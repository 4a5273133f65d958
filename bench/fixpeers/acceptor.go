package fixpeers

import (
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"

	"github.com/quickfixgo/quickfix"
	"github.com/quickfixgo/quickfix/store/file"
)

// AcceptorOptions are those of a plain acceptor.
type AcceptorOptions struct {
	At             netip.AddrPort
	Version        string   // BeginString; default FIX.4.4
	CompID         string   // its own
	Clients        []string // CompIDs that may log on
	StoreDir       string
	SyncEveryWrite bool // to the disk, as quickfixgo does by default
}

// Acceptor acknowledges every order on plain quickfixgo: FIX in Go as most run it.
type Acceptor struct {
	inner *quickfix.Acceptor
	app   echoApp
}

// StartAcceptor returns when it listens.
func StartAcceptor(o *AcceptorOptions) (*Acceptor, error) {
	version := o.Version
	if version == "" {
		version = quickfix.BeginStringFIX44
	}
	yes := map[bool]string{true: "Y", false: "N"}
	var text strings.Builder
	fmt.Fprintf(&text, "[DEFAULT]\nConnectionType=acceptor\nSocketAcceptHost=%s\nSocketAcceptPort=%d\nFileStorePath=%s\nFileStoreSync=%s\n",
		o.At.Addr(), o.At.Port(), o.StoreDir, yes[o.SyncEveryWrite])
	for _, c := range o.Clients {
		fmt.Fprintf(&text, "[SESSION]\nBeginString=%s\nSenderCompID=%s\nTargetCompID=%s\n", version, o.CompID, c)
	}
	settings, err := quickfix.ParseSettings(strings.NewReader(text.String()))
	if err != nil {
		return nil, fmt.Errorf("quickfixgo: %w", err)
	}
	a := &Acceptor{}
	if a.inner, err = quickfix.NewAcceptor(&a.app, file.NewStoreFactory(settings), settings, quickfix.NewNullLogFactory()); err != nil {
		return nil, fmt.Errorf("quickfixgo: %w", err)
	}
	if err := a.inner.Start(); err != nil {
		return nil, fmt.Errorf("quickfixgo: %w", err)
	}
	return a, nil
}

// Stop logs everybody out.
func (a *Acceptor) Stop() { a.inner.Stop() }

// Orders is how many came, repeats included.
func (a *Acceptor) Orders() uint64 { return a.app.orders.Load() }

// echoApp answers each order with the report that it is new.
type echoApp struct{ orders atomic.Uint64 }

var _ quickfix.Application = (*echoApp)(nil)

func (*echoApp) OnCreate(quickfix.SessionID)                       {}
func (*echoApp) OnLogon(quickfix.SessionID)                        {}
func (*echoApp) OnLogout(quickfix.SessionID)                       {}
func (*echoApp) ToAdmin(*quickfix.Message, quickfix.SessionID)     {}
func (*echoApp) ToApp(*quickfix.Message, quickfix.SessionID) error { return nil }
func (*echoApp) FromAdmin(*quickfix.Message, quickfix.SessionID) quickfix.MessageRejectError {
	return nil
}

func (a *echoApp) FromApp(m *quickfix.Message, session quickfix.SessionID) quickfix.MessageRejectError {
	if kind, err := m.MsgType(); err != nil || kind != "D" {
		return quickfix.UnsupportedMessageType()
	}
	n := a.orders.Add(1)
	answer := quickfix.NewMessage()
	answer.Header.SetString(35, "8")
	for _, tag := range []quickfix.Tag{11, 38, 54, 55} {
		value, err := m.Body.GetBytes(tag)
		if err != nil {
			return err
		}
		answer.Body.SetBytes(tag, value)
	}
	quantity, _ := m.Body.GetBytes(38)
	answer.Body.SetInt(37, int(n))
	answer.Body.SetInt(17, int(n))
	answer.Body.SetString(150, "0")
	answer.Body.SetString(39, "0")
	answer.Body.SetBytes(151, quantity)
	answer.Body.SetInt(14, 0)
	answer.Body.SetInt(6, 0)
	if err := quickfix.SendToTarget(answer, session); err != nil {
		return quickfix.NewMessageRejectError(err.Error(), 0, nil)
	}
	return nil
}
