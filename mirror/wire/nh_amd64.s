#include "textflag.h"

// func nhStepsAVX2(dst, src, key unsafe.Pointer, steps int) uint64
//
// A step: four 64-bit lanes of two words each. VPMULUDQ multiplies the low
// halves of two lanes, so the high halves are shifted down first.
TEXT ·nhStepsAVX2(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DX
	MOVQ src+8(FP), SI
	MOVQ key+16(FP), DI
	MOVQ steps+24(FP), CX
	VPXOR Y0, Y0, Y0
	TESTQ CX, CX
	JZ   sum

step:
	VMOVDQU (SI), Y1
	TESTQ DX, DX
	JZ   hash
	VMOVDQU Y1, (DX)
	ADDQ $32, DX

hash:
	VPADDD  (DI), Y1, Y1
	VPSRLQ  $32, Y1, Y2
	VPMULUDQ Y2, Y1, Y1
	VPADDQ  Y1, Y0, Y0
	ADDQ $32, SI
	ADDQ $32, DI
	DECQ CX
	JNZ  step

sum:
	VEXTRACTI128 $1, Y0, X1
	VPADDQ X1, X0, X0
	VPSRLDQ $8, X0, X1
	VPADDQ X1, X0, X0
	VMOVQ X0, AX
	VZEROUPPER
	MOVQ AX, ret+32(FP)
	RET
