// Package control is the conversation with a running node over its control
// socket, <run_dir>/<name>.sock: one JSON object a line each way.
//
//	{"cmd":"status"}            → Status
//	{"cmd":"promote","lane":0}  → Reply, once the handover began: the lane's
//	                              standby becomes its primary. For the ACTIVE
//	                              node; another refuses and names who it is
//	{"cmd":"policy","set_policy":{"lane":0,"policy":"applied","by":"jane: audit"}}
//	                            → Release, once it is in force here
//	{"cmd":"operate","operate":{"lane":0,"kind":"kill","session":"client-1"}}
//	                            → Operated, once the command is in the log and may be
//	                              seen; for the ACTIVE node
//	{"cmd":"show","show":{"lane":0,"what":"risk"}}
//	                            → RiskStatus, SessionList, OrderStatus or OrderList
//	{"cmd":"orders"}            → Reply, once the order logs are written (a book's)
//	{"cmd":"stop"}              → Reply, then the node ends
//
// The kernel says who is at the other end; who is not in the server's Access is told so,
// logged and counted.
package control
