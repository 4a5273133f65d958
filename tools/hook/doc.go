// Package hook runs an operator's programs when something happens to a lane:
// every change of role, or everything that is told. Nothing waits for a hook: an
// event goes into a bounded queue of the hook's own and is dropped, and counted,
// when that is full. A hook that does not end within its time limit is killed
// with all that it started.
//
// A hook gets the event as one JSON object on standard input:
//
//	{"event":"role","node":"node-b","number":2,"lane":0,"from":"STANDBY","to":"CANDIDATE",
//	 "epoch":7,"why":"fenced","detail":"STANDBY(7) -> CANDIDATE(7)","time":"2026-01-02T03:04:05.678901234Z",
//	 "mono_ns":123456789,"dropped":0}
//
// and in its environment, beside PATH and LANG and nothing else:
//
//	ONEBEAT_EVENT  role, or the name the node's log uses: serving, alone, in-sync, refused, track, …
//	ONEBEAT_NODE   the node's name
//	ONEBEAT_LANE   lane id; -1 when it concerns the whole node
//	ONEBEAT_FROM   for role: the state before
//	ONEBEAT_TO     for role: the state now
//	ONEBEAT_EPOCH  for role: the epoch
//
// Events of one hook come one after the other, in order; different hooks do not
// wait for each other. A hook sees a change a few tens of milliseconds after it
// happened and can neither delay nor prevent it.
package hook
