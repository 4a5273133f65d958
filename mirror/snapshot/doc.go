// Package snapshot keeps machines' states in files: one directory for each lane,
// one file for each state.
//
//	<dir>/00000000000067100672.snap        the state behind the record that ends there
//	<dir>/00000000000067100672.snap.part   not whole yet; removed at the next start
//
// A file is a header, the state in blocks with a checksum each, and a BLAKE3 digest
// of all. It is written under another name, brought to the disk and renamed; nothing
// of it is believed that is not checked, and a harmed newest one is passed over for
// the one before. docs/replication.md has the format byte by byte.
//
// Files: format.go is the layout, write.go and read.go the two directions, store.go
// the directory. Nothing here runs on an order's path.
package snapshot
