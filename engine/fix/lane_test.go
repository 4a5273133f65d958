package fix

import (
	"context"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"onebeat/engine/app"
	"onebeat/engine/cold"
	"onebeat/engine/fix/cases"
	"onebeat/engine/fix/convert"
	"onebeat/engine/fix/store"
	"onebeat/engine/sbe"
)

// lane stands for a lane's loop: it applies drafts, and lets out what they cause when
// the test says so.
type lane struct {
	port     *cold.Port
	store    *store.Sessions
	position uint64
	heldBack atomic.Bool
	stuck    atomic.Bool // it takes nothing in
	refusing atomic.Bool // and says so
	stopped  atomic.Bool
	done     chan struct{}
	records  []app.Record
	applied  func(in *app.Input, s *store.Sessions)
	execID   uint64
}

func newLane(t testing.TB, sessions []Session) (*lane, func(), func()) {
	t.Helper()
	wake := make(chan struct{}, 1)
	signal := func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
	l := &lane{done: make(chan struct{})}
	l.port = cold.NewPort(func() {}, signal)
	var cfg []store.SessionConfig
	for _, s := range sessions {
		cfg = append(cfg, s.SessionConfig)
	}
	var err error
	if l.store, err = store.New(store.Config{Sessions: cfg, Port: l.port}); err != nil {
		t.Fatal(err)
	}
	l.port.Start()
	go l.run()
	t.Cleanup(l.stop)
	return l, func() {
		select {
		case <-wake:
		case <-time.After(10 * time.Millisecond):
		}
	}, signal
}

func (l *lane) stop() {
	if l.stopped.CompareAndSwap(false, true) {
		<-l.done
	}
}

func (l *lane) run() {
	defer close(l.done)
	for !l.stopped.Load() {
		l.port.Refuse(l.refusing.Load())
		if l.stuck.Load() {
			time.Sleep(100 * time.Microsecond)
			continue
		}
		kind, b := l.port.Next()
		switch kind {
		case cold.Draft:
			l.position++
			rec := app.Record{Type: app.RecordFIX, Position: l.position, TimeNs: int64(l.position), Payload: append([]byte(nil), b...)}
			l.records = append(l.records, rec)
			l.store.Aim(true, l.position)
			var in app.Input
			if l.store.Begin(&rec, &in) {
				l.answer(&in)
				l.store.End()
			}
		case cold.Ask:
			l.port.RecordEnd = l.position
			l.store.Ask(b)
		default:
			if !l.heldBack.Load() {
				l.port.Release(l.position)
			}
			time.Sleep(100 * time.Microsecond)
			continue
		}
		l.port.Done()
	}
}

// answer fills every order.
func (l *lane) answer(in *app.Input) {
	if l.applied != nil {
		l.applied(in, l.store)
	}
	if in.Kind != app.FromClient || in.Template != sbe.TemplateNewOrderSingle {
		return
	}
	q := sbe.AsNewOrderSingle(in.Block)
	l.execID++
	r := sbe.AsExecutionReport(l.store.ToClient(in.Session, sbe.TemplateExecutionReport))
	r.SetOrderID(q.ClOrdID())
	r.SetExecID(l.execID)
	r.SetClOrdID(q.ClOrdID())
	r.SetSymbolID(q.SymbolID())
	r.SetSide(q.Side())
	r.SetOrdType(q.OrdType())
	r.SetPriceTicks(q.PriceTicks())
	r.SetOrderQtyLots(q.QtyLots())
	r.SetLeavesQtyLots(q.QtyLots())
	r.SetExecType(sbe.ExecTypeNew)
	r.SetOrdStatus(sbe.OrdStatusNew)
	l.store.SendToClient(in.TimeNs)
}

func testNames(t testing.TB, v convert.Version) *convert.Names {
	t.Helper()
	n, err := convert.NewNames(v, []convert.Instrument{{ID: 1, Name: "ONEB", Tick: convert.Tick{Mantissa: 1, Digits: 2}}}, nil, 7)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func testSession(t testing.TB, v convert.Version, target string) Session {
	return Session{Name: target, SessionConfig: store.SessionConfig{ID: store.ID{Version: v, Sender: "ISLD", Target: target}, Names: testNames(t, v)}, Validate: true}
}

// serve starts an acceptor; it returns its address.
func serve(t testing.TB, cfg Config) (*Acceptor, *lane, string) {
	t.Helper()
	l, wait, wake := newLane(t, cfg.Sessions)
	a, err := NewAcceptor(cfg, l.port, wait, wake)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- a.Serve(listener) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = listener.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
		if err := a.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return a, l, listener.Addr().String()
}

// definitions is the folder of quickfixgo's acceptance scripts.
func definitions(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/quickfixgo/quickfix").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "_test", "definitions")
}

// TestAcceptanceScripts runs the QuickFIX engines' scripts, each against an acceptor of its
// own, side by side. Those that wait for heartbeats are run against a node (tools/node).
func TestAcceptanceScripts(t *testing.T) {
	root := definitions(t)
	type script struct {
		file string
		v    convert.Version
		next bool
	}
	var scripts []script
	for folder, v := range map[string]convert.Version{"fix42": convert.FIX42, "fix44": convert.FIX44} {
		files, err := filepath.Glob(filepath.Join(root, "server", folder, "*.def"))
		if err != nil || len(files) < 50 {
			t.Fatalf("%d scripts: %v", len(files), err)
		}
		for _, f := range files {
			if base := filepath.Base(f); strings.HasPrefix(base, "4a_") || strings.HasPrefix(base, "6_") {
				continue
			}
			scripts = append(scripts, script{file: f, v: v})
		}
	}
	scripts = append(scripts, script{filepath.Join(root, "nextexpectedseqnum", "fix44", "2a_NextExpectedMsgSeqNumCorrect.def"), convert.FIX44, true})
	var running sync.WaitGroup
	for _, x := range scripts {
		s := testSession(t, x.v, "TW")
		s.Echo, s.ResetOnLogon, s.NextExpected = true, true, x.next
		_, _, address := serve(t, Config{Sessions: []Session{s}})
		running.Go(func() {
			if err := cases.Run(x.file, func() (net.Conn, error) { return net.Dial("tcp", address) }); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
}

// clockHand is a clock that tests set.
type clockHand struct{ ns atomic.Int64 }

func (c *clockHand) set(t time.Time) { c.ns.Store(t.UnixNano()) }
func (c *clockHand) get() time.Time  { return time.Unix(0, c.ns.Load()).UTC() }

// TestClientsOfAPromotion: who comes after the lane's word and before its loop serves is
// let in then, and sent away only if that takes long.
func TestClientsOfAPromotion(t *testing.T) {
	a, l, address := serve(t, Config{Sessions: twoSessions(t)})
	l.stop()
	a.port.Stop() // as at a node that was just promoted
	a.beginNs.Store(int64(time.Minute))
	c := dial(t, address, "GOOD")
	waitFor(t, "a connection that waits", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.awaited == 1
	})
	a.port.Start()
	waitFor(t, "a connection that is let in", func() bool { return len(a.all()) == 1 })
	a.port.Stop()
	c.ends()
	a.beginNs.Store(1)
	if late, err := net.Dial("tcp", address); err == nil { // its reset may be faster than connect(2)
		defer func() { _ = late.Close() }()
	}
	waitFor(t, "one that waited in vain", func() bool { return a.Counts.Of(CountNotServing) == 1 })
}
