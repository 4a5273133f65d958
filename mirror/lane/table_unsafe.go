package lane

import "unsafe"

// At returns the table in mem, which holds at least TableBytes and is aligned
// to a cache line: a mapped BPF array, a mapped file, or plain memory in tests.
// mem must outlive the table.
func At(mem []byte) *Table {
	if len(mem) < TableBytes || uintptr(unsafe.Pointer(&mem[0]))%64 != 0 {
		panic("lane: memory is too short or not aligned for a table")
	}
	return (*Table)(unsafe.Pointer(&mem[0]))
}

// WordAt returns the authority word at the start of mem, aligned likewise.
func WordAt(mem []byte) *uint64 {
	if len(mem) < 8 || uintptr(unsafe.Pointer(&mem[0]))%64 != 0 {
		panic("lane: memory is too short or not aligned for an authority word")
	}
	return (*uint64)(unsafe.Pointer(&mem[0]))
}
