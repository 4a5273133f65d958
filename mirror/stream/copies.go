package stream

import (
	"slices"
	"strings"
	"sync"
)

// Copy is a client that keeps a copy of a lane's log.
type Copy struct {
	Name string `json:"name"`
	Node uint8  `json:"node"`
	// Received and Durable are what it last ACKed: in its memory, on its disk.
	Received  uint64 `json:"received"`
	Durable   uint64 `json:"durable"`
	HeardNs   int64  `json:"heard_ns"` // when, on the server's monotonic clock
	Connected bool   `json:"connected"`
}

// copiesMax bounds how many are remembered for a lane.
const copiesMax = 64

// copies remembers what the clients of each lane ACKed.
type copies struct {
	mu   sync.Mutex
	list map[uint8][]*copyEntry
}

type copyEntry struct {
	Copy
	session *session // nil: gone
}

// join lists a client. An earlier connection of the same one is returned, for it
// to be closed: who comes again has lost it. nil, false: too many.
func (c *copies) join(lane uint8, s *session, nowNs int64) (e *copyEntry, before *session, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.list[lane]
	i := slices.IndexFunc(list, func(e *copyEntry) bool { return e.Name == s.name && e.Node == s.node })
	if i < 0 {
		if len(list) >= copiesMax {
			gone := slices.IndexFunc(list, func(e *copyEntry) bool { return e.session == nil })
			if gone < 0 {
				return nil, nil, false
			}
			list = slices.Delete(list, gone, gone+1)
		}
		list, i = append(list, &copyEntry{Copy: Copy{Name: s.name, Node: s.node}}), len(list)
	}
	if c.list == nil {
		c.list = map[uint8][]*copyEntry{}
	}
	c.list[lane] = list
	e = list[i]
	before, e.session = e.session, s
	e.Connected, e.HeardNs = true, nowNs
	e.Received, e.Durable = 0, 0
	return e, before, true
}

// leave notes that a connection ended.
func (c *copies) leave(e *copyEntry, s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.session == s {
		e.session, e.Connected = nil, false
	}
}

// ack notes what a client has.
func (c *copies) ack(e *copyEntry, s *session, received, durable uint64, nowNs int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.session == s {
		e.Received, e.Durable, e.HeardNs = received, durable, nowNs
	}
}

// Copies returns the clients that keep a copy of a lane's log, by name: those
// that are connected, and those that were.
func (s *Server) Copies(lane uint8) []Copy {
	s.copies.mu.Lock()
	defer s.copies.mu.Unlock()
	var list []Copy
	for _, e := range s.copies.list[lane] {
		list = append(list, e.Copy)
	}
	slices.SortFunc(list, func(a, b Copy) int { return strings.Compare(a.Name, b.Name) })
	return list
}
