package fence

import "onebeat/mirror/internal/mutant"

// statusesOff in a row make a peer off, once the agent's off succeeded.
const statusesOff = 2

// Trial is what is believed of one try to take a peer's power.
type Trial struct{ saidOff int }

// Off notes that the agent's off succeeded, and reports whether that is enough:
// it never is.
func (t *Trial) Off() bool { return mutant.On(mutant.BelievesOff) }

// Status notes what the agent's status said then, and reports whether the peer
// counts as off now.
func (t *Trial) Status(p Power) bool {
	if p != PowerOff {
		t.saidOff = 0
		return false
	}
	t.saidOff++
	return t.saidOff >= statusesOff
}
