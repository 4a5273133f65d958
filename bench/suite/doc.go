// Package suite measures everything that onebeat claims, beside what people use
// instead, in one run: every shape and every peer in turns, round after round,
// so that what changes on the machine meanwhile meets all of them; then the
// throughput ramp, failovers beside keepalived's, and a long run second by
// second. Every result is kept, also those that speak against onebeat.
//
// suite.go runs, bounds.go has what is promised, report.go the data and the
// files, curve.go draws, report.html is the page.
package suite
