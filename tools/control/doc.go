// Package control is the conversation with a running node over its control
// socket, <run_dir>/<name>.sock: one JSON object a line each way.
//
//	{"cmd":"status"}            → Status
//	{"cmd":"promote","lane":0}  → Reply, once this node is ACTIVE or cannot be
//	{"cmd":"orders"}            → Reply, once the order logs are written (a book's)
//	{"cmd":"stop"}              → Reply, then the node ends
package control
