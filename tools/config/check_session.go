package config

import (
	"fmt"
	"math/bits"
)

// sessions: what a client is promised must hold over a failover.
func (k *checker) sessions(l *Lane, at func(string) string) {
	k.retained(at("retain_messages"), l.RetainMessages)
	for i := range l.Sessions {
		s, path := &l.Sessions[i], at(fmt.Sprintf("session[%d]", i))
		k.retained(join(path, "retain_messages"), s.RetainMessages)
		if s.OrderBurst > 0 && s.OrdersPerSecond == 0 && k.ok(join(path, "order_burst"), join(path, "orders_per_second")) {
			k.fail(join(path, "order_burst"), "bounds nothing without orders_per_second", "set that, or remove this")
		}
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

// retainMin is the least that a session keeps to send again.
const retainMin = 64

func (k *checker) retained(path string, messages int) {
	if messages != 0 && k.ok(path) && (messages < retainMin || bits.OnesCount(uint(messages)) != 1) {
		k.fail(path, fmt.Sprintf("%d is no power of two of at least %d", messages, retainMin), "0 divides what a node keeps among its sessions")
	}
}
