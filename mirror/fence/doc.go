// Package fence takes the power from a peer that does not answer, by running
// standard fence agents: programs with the agent API that Pacemaker uses
// (fence_ipmilan, fence_apc, fence_dummy and some eighty others of the Debian
// package fence-agents).
//
// The API: parameters come as name=value lines on standard input, action= among
// them; the actions used here are metadata, monitor, status, off and on. 0 is
// success; status ends with 0 for a host that is on, with 2 for one that is off,
// with anything else when it does not know.
//
// What this package believes of an agent:
//
//   - A peer is off when one try of the agent's off succeeded AND its status then
//     said off, twice in a row. An agent whose off succeeds while status goes on
//     saying on has lied; one whose off fails while status says off contradicts
//     itself. Neither is believed: it is a failure, tried again.
//   - A status that ends with 2 but prints "Status: ON", or the reverse, is no
//     status.
//   - An agent that does not end within its time limit is killed with all that it
//     started, and has failed.
//   - After the last try of the last device the peer counts as alive: nothing is
//     granted, the lane's CANDIDATE waits and the whole is tried again, later and
//     later, until it succeeds or the peer is heard again.
//
// Secrets come from a file of mode 0600 and go to an agent's standard input,
// nowhere else: not into an argument list, not into an environment, and every
// output is searched for them before it is logged. An agent of the ipmilan
// family would put its password on ipmitool's command line; see shield.go for
// what is done instead. What other agents do with programs of their own is
// theirs.
package fence
