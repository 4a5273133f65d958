// Package stream carries a lane's log and its snapshots from host to host over
// TCP: to a standby that is behind the ring's history or new, to further copies
// near and far, and, of an engine that died, the end of the log that its
// successor lacks.
//
// Both ends show a certificate (TLS 1.3); its name is bound to a node number.
// A client asks one thing at a time; the server answers from the ring while that
// holds the position, else from the archive, and never gives away more than every
// member of the lane's in-sync set holds: a copy must not outrun the set.
//
//	client                                server
//	HELLO {version, node, name} ────────►
//	        ◄──────────────────────────── WELCOME {version, node}
//	LOG {lane, from, last record} ──────►
//	        ◄──────────────────────────── CHUNK {position, safe, records} …
//	ACK {received, durable} ────────────►
//	        ◄──────────────────────────── CAUGHT {position}: the end, or life while following
//	        ◄──────────────────────────── CUT {position}: the client's log is no beginning of this one
//	        ◄──────────────────────────── REFUSED {reason, text}
//
// Nothing here runs on an order's path: all is cold goroutines with deadlines on
// everything and buffers of one size. A slow or dead client costs its connection.
//
// Files: frame.go and message.go are the layouts, refuse.go what is refused and
// why; credentials.go and authority.go are certificates; lane.go says what is
// served, source.go reads ring and archive, prefix.go compares logs; server.go
// accepts, session.go answers, send.go streams, copies.go keeps what clients
// ACKed, bucket.go limits rates; client.go asks, log.go receives.
package stream
