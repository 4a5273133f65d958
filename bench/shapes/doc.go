// Package shapes measures latency shapes: what one order costs from the
// client's send to its answer on this machine, next to the echo of the same
// frames that nothing is done to.
//
// One client, one order in flight. The client reads its clock right before the
// system call that sends the frame and right after the receive ring shows the
// answer, in every shape alike, so that ratios between shapes are those of what
// lies between. All of it is one process: the client, the primary and the
// standby, each on its NIC in its network namespace of a Pair lab, the real
// node behind the order shapes (tools/node). With the gateway the client's
// thread plays the venue too, on the client's NIC, after the answer it measures:
// a venue behind a switch would put the switch's cost into every order.
package shapes
