package config

import "fmt"

// sessions: what a client is promised must hold over a failover.
func (k *checker) sessions(l *Lane, at func(string) string) {
	for i := range l.Sessions {
		s, path := &l.Sessions[i], at(fmt.Sprintf("session[%d]", i))
		window := join(path, "cancel_on_disconnect")
		if s.CancelOnDisconnect == 0 || !k.ok(window, at("heartbeat"), at("hang_budget")) {
			continue
		}
		if budget := l.Heartbeat + l.HangBudget; s.CancelOnDisconnect <= budget {
			k.fail(window, fmt.Sprintf("%v is not longer than a failover may take, %v (heartbeat and hang_budget)", s.CancelOnDisconnect, budget),
				"lengthen it, or shorten those; 0s: orders stay")
		}
	}
}
