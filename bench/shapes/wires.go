package shapes

import (
	"errors"

	"onebeat/xdp"
)

// twoWires is the client's end where it is wired to both nodes: it sends to the
// primary, and is answered by either.
type twoWires struct {
	xdp.Port          // to the primary
	second   xdp.Port // from the standby
	from     xdp.Port // of the frames of the last Recv
}

// Recv implements xdp.Port.
func (w *twoWires) Recv(max int) int {
	w.from = w.second
	if n := w.second.Recv(max); n > 0 {
		return n
	}
	w.from = w.Port
	return w.Port.Recv(max)
}

// Frame implements xdp.Port.
func (w *twoWires) Frame(i int) []byte { return w.from.Frame(i) }

// Done implements xdp.Port.
func (w *twoWires) Done() { w.from.Done() }

// Close implements xdp.Port.
func (w *twoWires) Close() error { return errors.Join(w.second.Close(), w.Port.Close()) }
