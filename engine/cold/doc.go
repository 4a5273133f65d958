// Package cold joins a lane's loop with sessions that live outside of it, in
// goroutines that block: FIX over TCP. Two rings of one producer each carry drafts
// of inputs to the loop, and outputs back. What the loop writes becomes visible only
// once the log's release policy allows it, so nobody outside can be faster.
package cold
