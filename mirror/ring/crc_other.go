//go:build !amd64

package ring

import "hash/crc32"

// update is crc32.Update with Castagnoli's polynomial.
func update(crc uint32, p []byte) uint32 { return crc32.Update(crc, castagnoli, p) }
