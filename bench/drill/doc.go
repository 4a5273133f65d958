// Package drill runs a fault again and again, each time in a fresh lab, and
// judges from logs alone whether an order was lost or doubled and how long the
// lane was away.
//
// run.go plays one run: venue, two nodes and a load client as processes, the
// fault in the middle. collect.go reads the logs: the client's orders, the
// orders the venue accepted, both nodes' pinned rings and lane tables.
// judge.go is a pure function over them. summary.go adds runs up.
package drill
