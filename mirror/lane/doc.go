// Package lane is the shared state of one lane as kernel and user space see
// it: the authority word, the lane table and the record of the lane.
//
// The table has exactly the layout of struct ob_lane in bpf/onebeat.h, so that
// the same memory can be a mapped BPF array or a mapped file. Fields are
// grouped by writer, a cache line each; whatever crosses threads is read and
// written with sync/atomic.
package lane
