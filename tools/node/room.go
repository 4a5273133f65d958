package node

import "runtime"

// roomForFIX is how many goroutines of FIX sessions may be in the kernel or wake at once
// beside the loops.
const roomForFIX = 4

// makeRoom lets the runtime run more threads than there are cores: a loop keeps its place
// in the scheduler while it spins or sleeps. Without a place of its own what archives,
// serves or keeps states would take a loop's, for as long as it runs: with one, the kernel
// divides the cores, which knows who may wait. FIX sessions wake with orders and get more.
func (n *Node) makeRoom() {
	room := len(n.threads)
	for _, p := range n.lanes {
		if p.fix != nil {
			room += roomForFIX
			break
		}
	}
	MakeRoom(room)
}

// MakeRoom is makeRoom for who runs loops without a node's threads.
func MakeRoom(threads int) {
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), runtime.NumCPU()+threads))
}
