// Package control is the conversation with a running node over its control
// socket, <run_dir>/<name>.sock: one JSON object a line each way.
//
//	{"cmd":"status"}            → Status
//	{"cmd":"promote","lane":0}  → Reply, once the handover began: the lane's
//	                              standby becomes its primary. For the ACTIVE
//	                              node; another refuses and names who it is
//	{"cmd":"policy","set_policy":{"lane":0,"policy":"applied","by":"jane: audit"}}
//	                            → Release, once it is in force here
//	{"cmd":"orders"}            → Reply, once the order logs are written (a book's)
//	{"cmd":"stop"}              → Reply, then the node ends
package control
