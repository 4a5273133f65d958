// Package policies has release policies beside those of mirror/policy, and shows
// how to write one: implement policy.Policy, and policy.Observer to see the
// records; register it in an init function of a package that the program links;
// name it in the configuration or with `onebeat policy set`.
//
//	large-orders:500            mirrored, but what orders of 500 lots and more lead
//	                            to leaves once it is on the standby's disk
//	outside-hours:08:00-16:30   mirrored from 08:00 to 16:30 UTC, archived outside
//
// What they decide follows from records alone, so a standby that takes over goes
// on with the same decisions. Outputs leave in the order of their records: what
// stands behind a large order waits with it.
package policies
