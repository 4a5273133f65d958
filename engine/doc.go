// Package engine is the order path: it composes the session server, an
// application and, if it has one, the session with a venue into the machine
// whose inputs are recorded and whose outputs are derived.
package engine
