package archive

import (
	"syscall"

	"onebeat/engine/app"
	"onebeat/mirror/ring"
)

var errFull = syscall.ENOSPC

func decodeAt(b []byte, position uint64) (app.Record, ring.State) {
	var rec app.Record
	_, state := ring.Decode(b[:min(len(b), ring.MaxRecordBytes)], position, &rec)
	return rec, state
}
