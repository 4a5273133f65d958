package gateway

import "onebeat/engine/sbe"

const (
	rateSlots  = 10
	rateSlotNs = 1_000_000_000 / rateSlots
)

// rate counts what a session did in the present tenth of a second and the nine
// before it.
type rate struct {
	slot   int64 // number of the present tenth
	sum    uint32
	counts [rateSlots]uint32
}

// at forgets what is too old and returns how many are left.
func (r *rate) at(timeNs int64) uint32 {
	slot := timeNs / rateSlotNs
	if slot == r.slot {
		return r.sum
	}
	if slot-r.slot >= rateSlots || slot < r.slot {
		r.counts, r.sum = [rateSlots]uint32{}, 0
	} else {
		for s := r.slot + 1; s <= slot; s++ {
			c := &r.counts[uint64(s)%rateSlots]
			r.sum -= *c
			*c = 0
		}
	}
	r.slot = slot
	return r.sum
}

// add counts one more in the tenth that at was asked for.
func (r *rate) add() {
	r.counts[uint64(r.slot)%rateSlots]++
	r.sum++
}

// executed counts an order that traded for the first time. More of them in the
// window than the limit stop the account in the symbol, until a person enables it.
func (g *Gateway) executed(session, position uint32) {
	p := &g.positions[position]
	if p.stopped {
		return
	}
	limits := g.limitsOf(session, position)
	if g.in.TimeNs-p.repeatsNs >= limits[LimitRepeatWindow]*1_000_000 || p.repeats == 0 {
		p.repeats, p.repeatsNs = 0, g.in.TimeNs
	}
	p.repeats++
	if int64(p.repeats) > limits[LimitRepeats] {
		p.stopped = true
		g.stops.Positions++
		g.counts[countRepeatsStopped]++
	}
}

// The content of orders taken, by its hash, with the time: sets of four in a cache
// line, of which the oldest gives way.
const (
	contentSets = 4096 // a power of two
	contentWays = 4
)

type content struct {
	hash uint64 // 0: none
	atNs int64
}

// contentHash is what makes two orders of a session the same.
func contentHash(session uint32, m *sbe.NewOrderSingle) uint64 {
	h := mix(uint64(session)<<32 | uint64(m.Account()))
	h = mix(h ^ uint64(m.SymbolID())<<32 ^ uint64(m.QtyLots()))
	h = mix(h ^ uint64(m.PriceTicks()))
	h = mix(h ^ uint64(m.Side())<<16 ^ uint64(m.OrdType())<<8 ^ uint64(m.TimeInForce()))
	return max(h, 1)
}

// mix is splitmix64's: every bit of the result depends on every bit of v.
func mix(v uint64) uint64 {
	v = (v ^ v>>30) * 0xbf58476d1ce4e5b9
	v = (v ^ v>>27) * 0x94d049bb133111eb
	return v ^ v>>31
}

// sameAge returns how long ago the same order was taken, -1 if none is known.
func (g *Gateway) sameAge(hash uint64) int64 {
	set := &g.contents[hash&(contentSets-1)]
	for i := range set {
		if set[i].hash == hash {
			return g.in.TimeNs - set[i].atNs
		}
	}
	return -1
}

// noteContent remembers an order that was taken, where its content must not come
// again. It counts when one has to give way that should still be known.
func (g *Gateway) noteContent(r *request) {
	if r.windowNs <= 0 {
		return
	}
	hash := r.hash
	set := &g.contents[hash&(contentSets-1)]
	oldest := 0
	for i := range set {
		if set[i].hash == hash || set[i].hash == 0 {
			oldest = i
			break
		}
		if set[i].atNs < set[oldest].atNs {
			oldest = i
		}
	}
	e := &set[oldest]
	if e.hash != 0 && e.hash != hash && g.in.TimeNs-e.atNs < r.windowNs {
		g.counts[countContentForgotten]++
	}
	e.hash, e.atNs = hash, g.in.TimeNs
}
