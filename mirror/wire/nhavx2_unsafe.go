//go:build amd64

package wire

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

var hasAVX2 = cpu.X86.HasAVX2

// nhStepsAVX2 copies steps x StepBytes from src to dst, unless that is nil, and
// returns their NH sum with the key words at key.
//
//go:noescape
func nhStepsAVX2(dst, src, key unsafe.Pointer, steps int) uint64
