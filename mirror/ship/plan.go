package ship

import (
	"cmp"
	"slices"

	"onebeat/mirror/archive"
)

// plan compares a manifest with an archive: what of the manifest still holds, and
// which segments are to be shipped behind it.
//
//	manifest  ├──────┼──────┼──────┤
//	archive          ├──────┼───┤              the log was cut: kept is what the
//	                             ├──── open    archive has too, or no longer has
//
// An archive that began anew on an empty disk lies across what was shipped from
// the one before: what it holds of that is not shipped again.
func plan(m *Manifest, local []archive.Segment) (kept []Segment, toShip []archive.Segment) {
	kept = slices.Clone(m.Segments)
	for i := range local {
		s := &local[i]
		if s.Damage != nil || s.Empty {
			continue
		}
		at, known := find(kept, s.Header.First)
		switch {
		case known && s.Sealed && kept[at].End == s.Seal.End && kept[at].Chain == s.Seal.Chain.String():
			continue
		case known: // another log from somewhere in it on
			kept = kept[:at]
		case !s.Sealed:
			continue
		case at > 0 && kept[at-1].End > s.Header.First:
			if s.Seal.End <= kept[len(kept)-1].End {
				continue
			}
			at--
			kept = kept[:at]
		case at < len(kept) && s.Seal.End > kept[at].First:
			kept = kept[:at]
		}
		if s.Sealed {
			toShip = append(toShip, *s)
			kept = slices.Insert(kept, at, Segment{First: s.Header.First, End: s.Seal.End, Chain: s.Seal.Chain.String()})
		}
	}
	// What is to be shipped is not there yet.
	return slices.DeleteFunc(kept, func(k Segment) bool { return k.Object == "" }), toShip
}

// torn reports whether a list of segments may lack one that was just being
// renamed by compression.
func torn(m *Manifest, local []archive.Segment) bool {
	for i := range local {
		s := &local[i]
		if s.Damage != nil || s.Empty {
			continue
		}
		if i == 0 && len(m.Segments) > 0 && m.End() < s.Header.PreviousEnd || i > 0 && local[i-1].Sealed && local[i-1].Seal.End != s.Header.PreviousEnd {
			return true
		}
	}
	return false
}

// find returns where the segment that begins at a position is, or would be.
func find(list []Segment, first uint64) (at int, found bool) {
	return slices.BinarySearchFunc(list, first, func(k Segment, first uint64) int { return cmp.Compare(k.First, first) })
}
