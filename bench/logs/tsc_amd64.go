package logs

// ticks reads the time-stamp counter once everything before it has happened. It
// is one clock for all processes where the kernel's clock source is tsc.
func ticks() uint64

const haveTicks = true
