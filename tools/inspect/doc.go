// Package inspect prints what a node keeps in pinned memory and on disk, whether
// the node is alive or not: records of rings and archives, whether they are
// whole, and where two archives differ.
package inspect
