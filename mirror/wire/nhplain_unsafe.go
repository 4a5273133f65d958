//go:build !amd64

package wire

import "unsafe"

const hasAVX2 = false

func nhStepsAVX2(dst, src, key unsafe.Pointer, steps int) uint64 {
	return nhSteps(dst, src, key, steps)
}
