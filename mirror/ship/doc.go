// Package ship copies a lane's closed segments, its snapshots, its notes and what
// was cut off it to a store: a directory, or a bucket of an S3-compatible server.
// What is whole there is said by a manifest, which is written last.
//
//	<lane>/<identity>/manifest.json              what is whole, with its own digest
//	<lane>/<identity>/<first>-<digest>.seg.zst   a segment as it is in the archive
//	<lane>/<identity>/<first>-<digest>.idx       its index
//	<lane>/<identity>/<position>-<digest>.snap   a snapshot
//	<lane>/<identity>/<name>-<digest>            notes, and records that were cut off
//
// An object's name holds the beginning of its BLAKE3 digest, so an object never
// changes: a lane's log that was cut and went on gets other objects, and the
// manifest says which count. A shipper that is stopped at any moment goes on where
// the manifest and the objects that are there tell it.
//
// Files: store.go is what a store does, directory.go and bucket.go are the two
// kinds; manifest.go is the manifest, plan.go compares it with an archive,
// shipper.go ships, limit.go keeps to a rate; restore.go brings an archive back.
package ship
