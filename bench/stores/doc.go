// Package stores is what onebeat's mirrored order is compared with: systems that
// people use to have a write on a second host before it is answered. Each is
// started from what is installed, in the places of a Pair lab, the client in
// front of node-a as with an order, the copy on node-b behind the cable. Their
// data lie in memory, so a write waits for no disk.
//
// store.go is the interface, measure.go the client, process.go starts servers;
// each store is a file.
package stores
