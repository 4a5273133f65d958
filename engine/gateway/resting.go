package gateway

import "onebeat/engine/sbe"

// node is what belongs to the place of an order beside the order: its part in the
// tree of its account's resting orders, a treap: ordered by price, and by hash a heap,
// so that a client who chooses prices does not choose its depth.
type node struct {
	ticks       int64 // the price it stands at
	number      uint64
	left, right uint32
	rests       bool             // it is in the tree
	why         sbe.RejectReason // of the cancel of our own that is at the venue
}

// root returns where the tree of a side of a position begins.
func (p *Position) root(side sbe.Side) *uint32 {
	if side == sbe.SideBuy {
		return &p.bids
	}
	return &p.asks
}

// rest puts an open order into its tree, at the price at which it would trade first:
// its own, or that of a replace under way. Who never rests is in none.
func (g *Gateway) rest(i uint32) {
	o, n := &g.orders[i], &g.nodes[i]
	if o.ordType != sbe.OrdTypeLimit || o.tif != sbe.TimeInForceDay || !o.open() || g.unchecked {
		return
	}
	n.ticks = o.priceTicks
	if o.pendingTicks > 0 && better(o.side, o.pendingTicks, o.priceTicks) {
		n.ticks = o.pendingTicks
	}
	n.left, n.right, n.rests = none, none, true
	root := g.positions[o.position].root(o.side)
	*root = g.insert(*root, i, o.side)
}

// unrest takes it out, before it changes.
func (g *Gateway) unrest(i uint32) {
	if n := &g.nodes[i]; n.rests {
		o := &g.orders[i]
		root := g.positions[o.position].root(o.side)
		*root = g.remove(*root, i, o.side)
		n.rests = false
	}
}

// better reports whether a trades before b.
func better(side sbe.Side, a, b int64) bool {
	if side == sbe.SideBuy {
		return a > b
	}
	return a < b
}

// before is the tree's order: the best price on the left.
func (g *Gateway) before(i, j uint32, side sbe.Side) bool {
	a, b := g.nodes[i].ticks, g.nodes[j].ticks
	return better(side, a, b) || a == b && i < j
}

func priority(i uint32) uint64 { return mix(uint64(i) + 1) }

func (g *Gateway) insert(root, i uint32, side sbe.Side) uint32 {
	if root == none {
		return i
	}
	if priority(i) > priority(root) {
		g.nodes[i].left, g.nodes[i].right = g.split(root, i, side)
		return i
	}
	if n := &g.nodes[root]; g.before(i, root, side) {
		n.left = g.insert(n.left, i, side)
	} else {
		n.right = g.insert(n.right, i, side)
	}
	return root
}

// split parts a tree into what stands before i and what behind it.
func (g *Gateway) split(root, i uint32, side sbe.Side) (left, right uint32) {
	if root == none {
		return none, none
	}
	n := &g.nodes[root]
	if g.before(root, i, side) {
		n.right, right = g.split(n.right, i, side)
		return root, right
	}
	left, n.left = g.split(n.left, i, side)
	return left, root
}

func (g *Gateway) remove(root, i uint32, side sbe.Side) uint32 {
	n := &g.nodes[root]
	switch {
	case root == i:
		return g.merge(n.left, n.right)
	case g.before(i, root, side):
		n.left = g.remove(n.left, i, side)
	default:
		n.right = g.remove(n.right, i, side)
	}
	return root
}

// merge joins two trees of which all of a stands before all of b.
func (g *Gateway) merge(a, b uint32) uint32 {
	switch {
	case a == none:
		return b
	case b == none:
		return a
	case priority(a) > priority(b):
		g.nodes[a].right = g.merge(g.nodes[a].right, b)
		return a
	}
	g.nodes[b].left = g.merge(a, g.nodes[b].left)
	return b
}

// best returns the order that would trade first, none if nothing rests.
func (g *Gateway) best(root uint32) uint32 {
	for root != none && g.nodes[root].left != none {
		root = g.nodes[root].left
	}
	return root
}

// selfMatchMax is how many resting orders one order may push aside.
const selfMatchMax = 4

// crossing fills found with the resting orders below root that an order of side at
// ticks would trade with, best first, and returns how many there are, counted up to
// one more than fit. skip is the order itself, of a replace.
func (g *Gateway) crossing(root uint32, side sbe.Side, ticks int64, skip uint32, found *[selfMatchMax]uint32, n int) int {
	if root == none {
		return n
	}
	at := &g.nodes[root]
	n = g.crossing(at.left, side, ticks, skip, found, n)
	if n > selfMatchMax || !crosses(side, ticks, at.ticks) {
		return n
	}
	if root != skip {
		if n < selfMatchMax {
			found[n] = root
		}
		n++
	}
	return g.crossing(at.right, side, ticks, skip, found, n)
}

// crosses reports whether an order of side at ticks would trade with one of the other
// side at resting.
func crosses(side sbe.Side, ticks, resting int64) bool {
	if side == sbe.SideBuy {
		return resting <= ticks
	}
	return resting >= ticks
}
