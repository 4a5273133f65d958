package table

// Use is what a Window knows of a number.
type Use uint8

const (
	// Fresh: never marked.
	Fresh Use = iota
	// Used: marked before.
	Used
	// TooLow: below the window, so nobody can tell.
	TooLow
)

// Window remembers exactly which of the last numbers were used, as the replay
// window of IPsec does (RFC 4303 section 3.4.3): a bitmap behind the greatest
// number. It stands for an unbounded history in bounded memory.
type Window struct {
	bits []uint64
	size uint64
	top  uint64 // greatest number marked
}

// NewWindow returns a window over the last size numbers, a power of two >= 64.
func NewWindow(size int) Window {
	if size < 64 || size&(size-1) != 0 {
		panic("table: window size must be a power of two of at least 64")
	}
	return Window{bits: Touched[uint64](size / 64), size: uint64(size)}
}

// Look tells about n without marking it.
func (w *Window) Look(n uint64) Use {
	if n > w.top {
		return Fresh
	}
	if w.top-n >= w.size {
		return TooLow
	}
	i := n & (w.size - 1)
	if w.bits[i>>6]>>(i&63)&1 != 0 {
		return Used
	}
	return Fresh
}

// Mark marks n, moving the window up when n is above it.
func (w *Window) Mark(n uint64) {
	if n > w.top {
		w.advance(n)
	} else if w.top-n >= w.size {
		return
	}
	i := n & (w.size - 1)
	w.bits[i>>6] |= 1 << (i & 63)
}

func (w *Window) advance(n uint64) {
	if n-w.top >= w.size {
		clear(w.bits)
		w.top = n
		return
	}
	for m := w.top + 1; m <= n; {
		i := m & (w.size - 1)
		if i&63 == 0 && n-m >= 63 {
			w.bits[i>>6] = 0
			m += 64
			continue
		}
		w.bits[i>>6] &^= 1 << (i & 63)
		m++
	}
	w.top = n
}
