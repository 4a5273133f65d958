// Package drill does harm again and again, each time in a fresh lab, and judges
// from logs alone whether an order was lost, doubled or answered by two, and
// how long the lane was away.
//
// fault.go is the table of faults. run.go plays one run: arbiter, venue, nodes
// and a load client for each lane as processes, the fault's course in the
// middle; course_node.go harms processes and hosts, course_net.go cables,
// clock.go clocks. lane.go looks at a lane while that goes on and marks what
// was done to it. collect.go reads the logs: the client's orders, the orders
// the venue accepted, the nodes' pinned rings and lane tables. judge.go and
// judge_mark.go are pure functions over them, history.go the part of them that
// porcupine plays. summary.go adds runs up, everything.go plays all faults,
// keepalived.go what others have today. Package report writes it down.
package drill
