// Package inspect prints what a node keeps in pinned memory, whether the node
// is alive or not: records of a ring, and whether they are whole.
package inspect
