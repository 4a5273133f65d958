package xdp

import "onebeat/xdp/frame"

// echoBatch bounds one cycle of Echo.
const echoBatch = 64

// Echo sends every UDP frame back to where it came from. It is the yardstick
// of a port: what remains of the order path when there are no orders.
type Echo struct {
	Port Port

	Echoed  uint64
	Refused uint64 // frames that are not UDP over IPv4
	Dropped uint64 // no free buffer to answer in
	Errno   int    // last errno of a kick: the device is lost
}

// DoWork answers the frames that wait and returns their number.
func (e *Echo) DoWork(_ int64) int {
	p := e.Port
	n := p.Recv(echoBatch)
	if n == 0 {
		return 0
	}
	for i := range n {
		in := p.Frame(i)
		out := p.Reserve()
		switch {
		case out == nil || len(out) < len(in):
			e.Dropped++
			continue
		case !frame.Reflect(in):
			e.Refused++
			continue
		}
		p.Submit(copy(out, in))
		e.Echoed++
	}
	if errno := p.Kick(); errno != 0 {
		e.Errno = errno
	}
	p.Done()
	return n
}
