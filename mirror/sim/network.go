package sim

// network is a way between the hosts: the cable, or the order network.
type network struct {
	kind  eventKind
	cut   [2]bool   // toward host i
	lost  [2]sieved // of what is sent toward host i
	noisy bool
	atNs  [2]int64 // when the last frame reaches host i: a cable keeps the order
	// recent are the last frames to host i, for somebody who plays them again.
	recent [2][replayFrames][]byte
	sent   [2]int
	frame  func(to int, b []byte) // tests look at what is sent
}

const replayFrames = 64

// record keeps a frame for replay.
func (n *network) record(to int, b []byte) {
	slot := &n.recent[to][n.sent[to]%replayFrames]
	*slot = append((*slot)[:0], b...)
	n.sent[to]++
}

// replay sends again, in their order, the last frames of a direction.
func (n *network) replay(w *World, to int) {
	w.tell("somebody plays %d frames to host %d again", replayFrames, to)
	for i := range replayFrames {
		if b := n.recent[to][(n.sent[to]+i)%replayFrames]; len(b) > 0 {
			w.plan(event{atNs: w.nowNs + int64(i)*us, kind: n.kind, host: to, frame: w.buffer(b)})
		}
	}
}

// send puts a frame on the cable. Its memory stays the caller's.
func (n *network) send(w *World, to int, b []byte) {
	if n.frame != nil {
		n.frame(to, b)
	}
	n.record(to, b)
	if n.cut[to] || n.lost[to].loses(b) {
		return
	}
	at := max(w.nowNs+w.between(4*us, 15*us), n.atNs[to]+200)
	n.atNs[to] = at
	if n.noisy {
		if w.chance(100) {
			at += w.between(0, 40*ms)
		}
		switch w.dice.IntN(20) {
		case 0:
			return // lost
		case 1:
			at += w.between(0, 500*us)
		case 2:
			at += w.between(0, 3*ms)
		case 3:
			w.plan(event{atNs: w.nowNs + w.between(4*us, 15*ms), kind: n.kind, host: to, frame: w.buffer(b)})
		}
	}
	w.plan(event{atNs: at, kind: n.kind, host: to, frame: w.buffer(b)})
}
