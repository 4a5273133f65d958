// Package pin gives a thread and its memory a place of their own: CPU pinning
// and isolation, memory locking, huge pages, C-state latency, IRQ affinity,
// the Go runtime's preemption signals, and a check-up of the host. Each thing
// it changes it can undo.
package pin
