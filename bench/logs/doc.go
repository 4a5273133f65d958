// Package logs measures what a lane's log can do beside the order path: how fast
// records are appended, read by another process, archived, replayed and fetched by
// a node that is behind. The order path's own latency is package shapes'.
//
// Rings are in shared memory (tmpfs), archives on the disk of Options.Dir.
package logs
