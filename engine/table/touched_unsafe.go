package table

import "unsafe"

// pageBytes is the smallest page of the machines this runs on.
const pageBytes = 4096

// Touched allocates n elements whose memory is there already: without it the
// first orders would each wait for a page or two, microseconds at a time.
func Touched[T any](n int) []T {
	s := make([]T, n)
	step := max(1, pageBytes/max(1, int(unsafe.Sizeof(*new(T)))))
	var zero T
	for i := 0; i < n; i += step {
		s[i] = zero
	}
	return s
}
