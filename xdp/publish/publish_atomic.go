//go:build !amd64 || race

package publish

import "sync/atomic"

// Uint32 stores v with release semantics. The race detector knows sync/atomic
// only.
func Uint32(p *uint32, v uint32) { atomic.StoreUint32(p, v) }

// Uint64 stores v with release semantics.
func Uint64(p *uint64, v uint64) { atomic.StoreUint64(p, v) }
