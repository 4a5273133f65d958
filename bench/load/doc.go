// Package load is an open-loop client: orders are due at fixed times whatever
// became of the earlier ones, and an order's latency counts from the time it
// was due, not from the time it could be sent (Tene's coordinated omission).
//
// run.go is the hot loop; it writes only into memory made before. order.go is
// that memory, written as CSV at the end. latency.go derives histograms from
// it. open.go is the cold side. The connection is engine/client/conn's, as any
// client's.
//
// All times are nanoseconds of CLOCK_MONOTONIC, the clock of the kernel
// programs, so that logs of all processes of one host can be laid side by side.
package load
