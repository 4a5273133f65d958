package node

import (
	"runtime"
	"sync"
)

// roomForFIX is how many goroutines of FIX sessions may be in the kernel or wake at once
// beside the loops.
const roomForFIX = 4

// makeRoom lets the runtime run more threads than there are cores: a loop keeps its place
// in the scheduler while it spins or sleeps, and so does an archive's goroutine. Without a
// place of its own what serves or keeps states would take a loop's, for as long as it
// runs: with one, the kernel divides the cores, which knows who may wait. FIX sessions wake
// with orders and get more.
func (n *Node) makeRoom() (release func()) {
	room := len(n.threads)
	for _, p := range n.lanes {
		if p.archive != nil {
			room++
		}
	}
	for _, p := range n.lanes {
		if p.fix != nil {
			room += roomForFIX
			break
		}
	}
	return MakeRoom(room)
}

// rooms is what the nodes of this process asked for.
var rooms struct {
	sync.Mutex
	usual int // before any did
	made  int
}

// MakeRoom is makeRoom for who runs loops without a node's threads, until release.
func MakeRoom(places int) (release func()) {
	change := func(by int) {
		rooms.Lock()
		defer rooms.Unlock()
		if rooms.made == 0 {
			rooms.usual = max(runtime.GOMAXPROCS(0), runtime.NumCPU())
		}
		rooms.made += by
		runtime.GOMAXPROCS(rooms.usual + rooms.made)
	}
	change(places)
	return func() { change(-places) }
}
