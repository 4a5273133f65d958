// Package witness runs a witness as a process: its loop on a thread of its own,
// its control socket and its log.
package witness
