//go:build !marks || !amd64

package mark

// On reports whether this program stores marks.
const On = false

// At stores the place an order has come to.
func At(Stage) {}

// Read returns the marks of the last order and forgets them; 0 is a place it
// did not pass.
func Read() (ticks [Stages]uint64) { return }
