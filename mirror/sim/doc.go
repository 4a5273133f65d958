// Package sim lives a lane's life a thousand times faster than life: two hosts
// with the real replica (role machine, sender, catch-up), the link program's
// rules in Go, and a register as a witness keeps it, under clocks that drift and
// a network that loses, doubles, delays, reorders and is cut in one direction or
// both. Processes die and start again, hang, hosts freeze and lose their memory,
// the witness cannot be reached or forgets, rings turn over and what they lost
// is fetched, and where a peer's power is taken
// first, the agents that do so hang, fail and lie.
//
//	            ┌── host 0 ──────────────┐   cable    ┌── host 1 ──────────────┐
//	orders ──►  │ process: mirror.Replica│ ◄────────► │ process: mirror.Replica│ ◄── orders
//	            │ kernel:  recv.Receiver │            │ kernel:  recv.Receiver │
//	            └──────────┬─────────────┘            └──────────┬─────────────┘
//	                       └──────────►  witness  ◄──────────────┘
//	                            arbiter.Register, or none: arbiter.Pair, fence.Arbiter
//
// Everything happens in the order of one clock and by the dice of one seed: the
// same seed is the same run. Judges look at what leaves the hosts, at who serves
// and in which epoch, and at both logs.
//
// Files: world.go is the clock, host.go a host and its kernel, process.go what
// dies with a process, network.go and witness.go what is between them, power.go
// the fence agents, faults.go what goes wrong, run.go how a run begins and ends,
// script.go what goes wrong in an order that dice find too seldom, judge.go what must
// hold.
package sim
