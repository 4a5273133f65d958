package lane

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// MaxMembers bounds the in-sync set of a lane.
const MaxMembers = 2

// Member is one ring of the in-sync set: a node and the incarnation of its
// memory. A ring that lost its memory is another ring.
type Member struct {
	Node        uint8 // 0: empty place
	Incarnation uint64
}

// Record is the record of the lane: the one register that says who writes and
// who must hold what is written. It changes only to epoch+1.
type Record struct {
	Epoch  uint32
	Writer uint8
	Set    [MaxMembers]Member
}

// RecordBytes is the encoded length of a Record: {epoch u32, writer u8,
// node u8 x 2, reserved u8, incarnation u64 x 2}, little-endian.
const RecordBytes = 24

// Put encodes r into the first RecordBytes of b.
func (r *Record) Put(b []byte) {
	_ = b[RecordBytes-1]
	binary.LittleEndian.PutUint32(b, r.Epoch)
	b[4], b[5], b[6], b[7] = r.Writer, r.Set[0].Node, r.Set[1].Node, 0
	binary.LittleEndian.PutUint64(b[8:], r.Set[0].Incarnation)
	binary.LittleEndian.PutUint64(b[16:], r.Set[1].Incarnation)
}

// Parse decodes r and reports whether b holds a well-formed record.
func (r *Record) Parse(b []byte) bool {
	if len(b) < RecordBytes || b[7] != 0 {
		return false
	}
	r.Epoch = binary.LittleEndian.Uint32(b)
	r.Writer = b[4]
	r.Set[0] = Member{b[5], binary.LittleEndian.Uint64(b[8:])}
	r.Set[1] = Member{b[6], binary.LittleEndian.Uint64(b[16:])}
	return r.Valid()
}

// Valid reports whether r is the zero record or names a writer of its own set,
// no node twice and no gap before a member.
func (r *Record) Valid() bool {
	if *r == (Record{}) {
		return true
	}
	if r.Epoch == 0 || r.Writer == 0 || r.Set[0].Node == 0 || r.Set[0].Node == r.Set[1].Node {
		return false
	}
	if r.Set[1].Node == 0 && r.Set[1].Incarnation != 0 {
		return false
	}
	return r.Set[0].Node == r.Writer || r.Set[1].Node == r.Writer
}

// Has reports whether m is a member with its present incarnation.
func (r *Record) Has(m Member) bool {
	return m.Node != 0 && (r.Set[0] == m || r.Set[1] == m)
}

// Names reports whether node is a member under any incarnation.
func (r *Record) Names(node uint8) bool {
	return node != 0 && (r.Set[0].Node == node || r.Set[1].Node == node)
}

// Count returns the number of members.
func (r *Record) Count() int {
	n := 0
	for _, m := range r.Set {
		if m.Node != 0 {
			n++
		}
	}
	return n
}

// Alone returns the record of the next epoch with writer as only member.
func (r *Record) Alone(writer Member) Record {
	return Record{Epoch: r.Epoch + 1, Writer: writer.Node, Set: [MaxMembers]Member{writer}}
}

// Pair returns the record of the next epoch with writer and standby as members.
func (r *Record) Pair(writer, standby Member) Record {
	return Record{Epoch: r.Epoch + 1, Writer: writer.Node, Set: [MaxMembers]Member{writer, standby}}
}

func (r Record) String() string {
	var members []string
	for _, m := range r.Set {
		if m.Node != 0 {
			members = append(members, fmt.Sprintf("%d:%x", m.Node, m.Incarnation))
		}
	}
	return fmt.Sprintf("{epoch %d writer %d set %s}", r.Epoch, r.Writer, strings.Join(members, ","))
}
