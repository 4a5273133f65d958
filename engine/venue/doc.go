// Package venue is what stands between an application and its session with one
// venue: a throttle in lane time, a bounded queue behind it, and a circuit
// breaker. All of it is replicated state, driven by records alone: two machines
// that apply the same records send, queue and refuse the same requests.
//
// Throttle. A token bucket of so many requests a second with a burst. A request
// that finds a token goes to the session at once. One that finds none waits in
// the queue, or is refused when the queue is full or there is none. What waits
// leaves by timer records, oldest first; with CancelsFirst cancels leave before
// everything else. A request still in the queue can be withdrawn: the venue never
// saw it.
//
// Breaker. So many failures, which are new orders refused by the venue or not
// answered in time, within a window open it: new orders are refused for a while.
// Then one order is let through as a probe; its acceptance closes the breaker,
// its failure opens it again. Cancels, replaces and status requests always pass:
// who cannot trade any more must be able to leave.
package venue
