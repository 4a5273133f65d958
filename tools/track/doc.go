// Package track looks at what a node needs to serve well, as keepalived users
// know it, and says when a lane should rather be served by its standby.
//
//   - Interfaces: carrier, told by the kernel (netlink) the moment it changes.
//   - Processes: by name or pid file, looked for every interval.
//   - Scripts: run every interval with a time limit; 0 is good.
//
// A check is down after `fall` bad results in a row and up again after `rise`
// good ones. A check that is down adds its weight to the node's score. So do
// signs that something is about to fail: orders that take longer than they may, a
// ring that the standby no longer empties, carriers that flap, ticks of the
// kernel's timer that come late. Score shows what each part adds.
//
// Decider turns scores into planned handovers: the score must have been at the
// line for a while, the standby must be ready, and two nodes that are both sick
// must not throw a lane back and forth: after a handover a node does not give
// the lane away again before its score fell clearly below the line, or a minimum
// interval has passed that doubles with each time the lane comes back.
//
// All of it runs beside the order path: it reads counters that are there and asks
// nothing of a loop.
package track
