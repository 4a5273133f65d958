#include "textflag.h"

// func crcSSE42(crc uint32, p []byte) uint32
TEXT ·crcSSE42(SB), NOSPLIT, $0-36
	MOVL crc+0(FP), AX
	MOVQ p_base+8(FP), SI
	MOVQ p_len+16(FP), CX
	NOTL AX
	SUBQ $32, CX
	JLT  words

steps:
	CRC32Q 0(SI), AX
	CRC32Q 8(SI), AX
	CRC32Q 16(SI), AX
	CRC32Q 24(SI), AX
	ADDQ $32, SI
	SUBQ $32, CX
	JGE  steps

words:
	ADDQ $24, CX
	JLT  rest

word:
	CRC32Q (SI), AX
	ADDQ $8, SI
	SUBQ $8, CX
	JGE  word

rest:
	ADDQ $8, CX
	JZ   done

byte:
	CRC32B (SI), AX
	INCQ SI
	DECQ CX
	JNZ  byte

done:
	NOTL AX
	MOVL AX, ret+32(FP)
	RET
