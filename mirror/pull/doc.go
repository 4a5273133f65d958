// Package pull keeps a copy of a lane's log on a host that has no part in the
// lane: a third host's, or a far site's. It follows any of the lane's nodes by
// stream, writes an archive of its own, and tells what it has received and what is
// on its disk.
//
//	source ──stream──► ring in memory ──Follower──► archive
//	   ◄──ACK {received, durable}──┘                   │
//	                   onward: stream.Lane ◄───────────┘
//
// When the disk is slow or full, the ring fills and the source waits: nothing is
// skipped. When a source's log turns out to be another one than the copy's, the
// copy's is cut where the source says, and what is cut is kept in a file.
//
// Files: puller.go is the copy and its archive, follow.go one connection, cut.go
// what makes the log another, snapshots.go fetches states, status.go tells.
package pull
