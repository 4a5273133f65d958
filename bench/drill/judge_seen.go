package drill

import "slices"

// EpochSeen is one epoch as the lane's log tells of it.
type EpochSeen struct {
	Epoch   uint32
	Writer  uint8 // node
	Members int   // of the in-sync set
}

// harmedIn reports whether an epoch began between a mark and the end of what
// followed from it.
func (l *Logs) harmedIn(epoch uint32) bool {
	for i := range l.Marks {
		m := &l.Marks[i]
		end := m.EndEpoch
		if end == 0 && i+1 < len(l.Marks) {
			end = l.Marks[i+1].Epoch
		} else if end == 0 {
			end = l.Survivor.Epoch
		}
		if epoch > m.Epoch && epoch <= end {
			return true
		}
	}
	return false
}

// judgeSeen goes through every change of epoch of a run that was watched to its
// end. One that no harm explains is an alarm: a node was silent, or did not answer,
// for longer than the budgets, as happens on a machine that has other things to do.
// What the log says of it shows which. An epoch that the log knows nothing of is
// unexplained: somebody changed the register and nobody served.
func (v *Verdict) judgeSeen(logs *Logs) {
	writer, _ := logs.writerOf(logs.StartEpoch)
	for epoch := logs.StartEpoch + 1; epoch <= logs.Survivor.Epoch; epoch++ {
		i, found := slices.BinarySearchFunc(logs.Seen, epoch, func(e EpochSeen, epoch uint32) int { return int(e.Epoch) - int(epoch) })
		moved := found && logs.Seen[i].Writer != writer
		if found {
			writer = logs.Seen[i].Writer
		}
		switch {
		case logs.harmedIn(epoch):
		case !found && !logs.SeenAll:
		case !found:
			v.UnexplainedEpochs++
			v.problem("epoch %d is in no log, and nothing was harmed then", epoch)
		case moved:
			v.FalseFailovers++
		case logs.Seen[i].Members == 1:
			v.WentAlone++
		}
	}
}

// writerOf returns who wrote an epoch.
func (l *Logs) writerOf(epoch uint32) (writer uint8, found bool) {
	for _, e := range l.Seen {
		if e.Epoch <= epoch {
			writer, found = e.Writer, true
		}
	}
	return writer, found
}
