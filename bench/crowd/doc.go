// Package crowd measures a lane of many FIXP sessions over real nodes: a thousand
// clients that share one AF_XDP socket, among ten thousand that are configured. It
// compares an order's latency with that of a lane of one session, and kills the primary
// under all of them.
package crowd
