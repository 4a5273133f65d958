package pin

const (
	// gripNs is how long the runtime waits for a loop at most, when it stops the world.
	gripNs = 2_000_000
	// openNs is as long as it takes to be asked again by who stops the world, each 100 us
	// (runtime/proc.go, stopTheWorldWithSema).
	openNs = 120_000
)

// Grip keeps the runtime from taking a spinning loop off its thread. Each 10 ms its
// monitor asks every goroutine that still runs to go to the end of the queue, even one
// whose thread is its own: another thread then has to wake, take it from there and wake
// the first again, which takes as long as other cores make these two wait. Who is pinned
// to its place (runtime.procPin) is not asked. It must let go now and then, since who
// stops the world, to collect garbage for one, waits for all; such asks again until it
// is heard, the monitor does not: few of its requests fall into the openings.
//
// What runs between two calls must not block, on a lock, a channel, or in a system call
// that the runtime knows of: it would end the process. The zero value holds nothing.
// It belongs to one goroutine, locked to its thread.
type Grip struct {
	held   bool
	nextNs int64 // when that changes
}

// Cycle is for every duty cycle of the loop, with its clock.
func (g *Grip) Cycle(nowNs int64) {
	if nowNs >= g.nextNs {
		g.turn(nowNs)
	}
}

func (g *Grip) turn(nowNs int64) {
	if g.held {
		g.Release()
		g.nextNs = nowNs + openNs
		return
	}
	procPin()
	g.held, g.nextNs = true, nowNs+gripNs
}

// Release lets go until the next Cycle, for what may block. There may be no grip.
func (g *Grip) Release() {
	if g != nil && g.held {
		procUnpin()
		g.held, g.nextNs = false, 0
	}
}
