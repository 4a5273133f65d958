package table

import "unsafe"

// pageBytes is the smallest page of the machines this runs on.
const pageBytes = 4096

// Large, if there is one, is given the memory of each big table before it is touched:
// who may talk to the kernel asks for huge pages there. Set before any table is made.
var Large func(memory []byte)

// largeBytes is where a table is big: some huge pages.
const largeBytes = 4 << 20

// Touched allocates n elements whose memory is there already: without it the
// first orders would each wait for a page or two, microseconds at a time.
func Touched[T any](n int) []T {
	s := make([]T, n)
	size := int(unsafe.Sizeof(*new(T)))
	if Large != nil && n*size >= largeBytes {
		Large(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), n*size))
	}
	step := max(1, pageBytes/max(1, size))
	var zero T
	for i := 0; i < n; i += step {
		s[i] = zero
	}
	return s
}
