// Package redis keeps a lane's read model in a Redis. A batch is one MULTI/EXEC
// under a WATCH of the mark, so that it is done whole, once, or not at all; a
// server that lost its newest writes lost their marks with them.
//
// All keys begin with the lane's prefix, {onebeat:lane0}: for example, whose braces
// keep them in one slot of a cluster:
//
//	mark                        hash: how far the read model is
//	order:<session>:<ClOrdID>   hash: one order; finished ones expire, if configured
//	open:<session>              set: ClOrdIDs of the session's open orders
//	executions                  stream: one entry for each, its ID <position>-<index>
//	positions                   hash: <session>:<account>:<symbol> -> JSON
//	sessions, symbols           hashes: what they are called
package redis
