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
// NPlusOne adds node-c to the switch, with a cable to node-a (link0) and one to
// node-b (link1) in place of the cable between those. In both a third network
// (witness0) leads from every node to the witness.
//
// With a fault box every cable of a node leads through one more place, where
// frames can be lost, doubled, held back and corrupted, and plugs pulled:
//
//	node-a ──link0── box: [node-a-link0 ⇄ node-b-link0] ──link0── node-b
//
// Every place is a named network namespace with a prefix of this run, so that
// several labs live side by side. A state file remembers them; what a run left
// behind whose process is gone is removed by the next Up.
package lab
