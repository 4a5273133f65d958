package node

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"onebeat/engine"
	"onebeat/engine/book"
	"onebeat/engine/operator"
	"onebeat/engine/sbe"
	"onebeat/mirror/lane"
	"onebeat/tools/config"
)

// exchangeConfig maps [lane.exchange].
func exchangeConfig(l *config.Lane, cfg *book.Config) {
	x := l.Exchange
	cfg.SelfMatch, _ = book.ParseSelfMatch(x.SelfMatch)
	cfg.Phase, _ = book.ParsePhase(x.Phase)
	cfg.Chaos = book.Chaos{Seed: uint64(x.Seed), RejectPercent: x.RejectPercent, FillPercent: x.FillPercent,
		DelayMinNs: x.DelayMin.Ns(), DelayMaxNs: x.DelayMax.Ns()}
	for i := range x.Schedule {
		c := &x.Schedule[i]
		change := book.PhaseChange{AtNs: c.At.Ns(), SymbolID: book.AllSymbols}
		change.Phase, _ = book.ParsePhase(c.Phase)
		for _, s := range l.Symbols {
			if s.Name == c.Symbol {
				change.SymbolID = s.ID
			}
		}
		cfg.Schedule = append(cfg.Schedule, change)
	}
	for i := range l.Sessions {
		s := &l.Sessions[i]
		cfg.SessionIDs = append(cfg.SessionIDs, sbe.UUID(s.ID))
		for _, name := range x.DropCopy {
			if name == s.Name {
				cfg.DropCopy = append(cfg.DropCopy, uint32(i))
			}
		}
	}
}

// runDisconnects ends sessions of simulated exchanges at random; the function it
// returns ends that. Each is a command in the log, as if a person had given it.
func (n *Node) runDisconnects() func() {
	ctx, stop := context.WithCancel(context.Background())
	var done sync.WaitGroup
	for _, p := range n.lanes {
		if x := p.cfg.Exchange; x != nil && x.DisconnectEvery > 0 {
			done.Go(func() { n.disconnect(ctx, p, rand.New(rand.NewPCG(uint64(x.Seed), uint64(p.cfg.ID)))) })
		}
	}
	return func() { stop(); done.Wait() }
}

func (n *Node) disconnect(ctx context.Context, p *laneParts, dice *rand.Rand) {
	mean := float64(p.cfg.Exchange.DisconnectEvery.Ns())
	for {
		wait, session := time.Duration(mean*dice.ExpFloat64()), uint32(dice.IntN(len(p.cfg.Sessions)))
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		if lane.Load(p.mem.authority).State() != lane.Active {
			continue
		}
		c := operator.New(operator.SessionTerminate)
		c.Session, c.UnixNs, c.Who, c.Why = session, time.Now().UnixNano(), []byte("simulator"), []byte("disconnect_every")
		q := &engine.Question{Command: c.Put(make([]byte, operator.MaxBytes))}
		if _, err := n.ask(p, q, operateTimeout); err != nil {
			n.log.Warn("a session was not ended", "lane", p.cfg.ID, "session", session, "error", err)
		}
	}
}
