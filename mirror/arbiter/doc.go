// Package arbiter says who may write a lane: it keeps, or stands in for, the
// record of the lane, one register {epoch, writer, in-sync set} that changes
// only by compare-and-swap to a newer epoch.
//
// An arbiter may be far away, so asking and answering are two calls. Pair is
// the one for two nodes and no third party: nobody keeps the register, and a
// change is granted only with a proof that the other side can no longer act in
// the old epoch.
package arbiter
