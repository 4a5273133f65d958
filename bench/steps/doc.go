// Package steps counts the instructions of a piece of a program, in user space, by
// single steps of the processor: a figure that no other load of the machine, no
// clock and no cache changes, and that needs no hardware counters, which virtual
// machines mostly lack. What the kernel does in a system call is not in it.
//
// The program counted is a child process of the same executable. It puts Begin and
// End around the piece; the parent attaches to its thread (ptrace, PTRACE_SINGLESTEP)
// and steps from one to the other.
package steps
