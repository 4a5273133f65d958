// Package lab builds a small network out of namespaces on one host, for tests,
// drills and benchmarks, and takes it down again:
//
//	Switched:                                    Pair:
//
//	 client ─┐        ┌─ venue                    client ──order0── node-a ──link0── node-b ──order0── (nothing)
//	         ▼ order0 ▼
//	       switch (bridge)
//	         ▲ order0 ▲
//	 node-a ─┘        └─ node-b
//	     └──── link0 ────┘
//
// Every place is a named network namespace with a prefix of this run, so that
// several labs live side by side. A state file remembers them; what a run left
// behind whose process is gone is removed by the next Up.
package lab
