// Package node assembles a node from its parts: kernel programs or the UDP
// stand-in, ports, replicas, machines and loops, a thread to run them on and a
// control socket. It wires; what a lane does is decided in the packages it
// wires together.
package node
