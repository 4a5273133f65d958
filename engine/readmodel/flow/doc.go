// Package flow makes up the log of a busy lane, for tests and measurements of
// what reads logs: clients that order, cancel, replace, repeat themselves and
// blunder, and for a gateway a venue that answers. The same seed makes the same
// log.
package flow
