package archive

import (
	"slices"
	"time"
)

const (
	// verifyTries is how often what looks wrong at an archive's end is looked at
	// again: its writer may be in the middle of it.
	verifyTries = 5
	verifyPause = 20 * time.Millisecond
)

// settled verifies one segment. What is wrong with it while its writer works on it
// (it is compressed, taken by retention, or just being written) is not said: it
// is looked at anew.
func (v *verifier) settled(list []Segment, i int) error {
	s, last := &list[i], i == len(list)-1
	for try := 0; ; try++ {
		before, found := *v, *v.v
		found.Gaps, found.Problems, found.Salvageable = slices.Clone(found.Gaps), slices.Clone(found.Problems), slices.Clone(found.Salvageable)
		err := v.segment(s, last)
		if err == nil && len(v.v.Problems) == len(found.Problems) {
			return nil
		}
		now, there, lookErr := v.lookAgain(s)
		switch {
		case lookErr != nil:
			return lookErr
		case there && now.Path == s.Path && (!last || try == verifyTries || !written(v.v.Dir)):
			return err // nobody works on it
		}
		target := v.v
		*v = before
		v.v = target
		*v.v = found
		if !there {
			v.retained(list[i+1:])
			return nil
		}
		if now.Path == s.Path {
			time.Sleep(verifyPause)
		}
		*s = now
	}
}

// lookAgain returns a segment as it is now; there is false when it has gone.
func (v *verifier) lookAgain(s *Segment) (now Segment, there bool, err error) {
	list, err := List(v.fs, v.v.Dir)
	for i := range list {
		if list[i].first == s.first {
			return list[i], true, nil
		}
	}
	return now, false, err
}

// retained: retention took a segment, and with it all before it: the archive
// begins with what follows.
func (v *verifier) retained(later []Segment) {
	v.known = false
	v.v.Records, v.v.Gaps, v.v.Salvageable = 0, nil, nil
	v.v.Segments = len(later)
	if len(later) > 0 {
		h := &later[0].Header
		v.v.Begin, v.v.FirstNs, v.v.Epochs.From = later[0].first, h.FirstNs, uint64(h.FirstEpoch)
	}
}
