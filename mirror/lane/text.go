package lane

import (
	"fmt"
	"strconv"
	"strings"
)

// ParseRecord reads what String writes, the braces may be left out:
//
//	epoch 4 writer 1 set 1:9f3c,2:51aa
//
// Node numbers are decimal, incarnations hexadecimal.
func ParseRecord(text string) (Record, error) {
	var r Record
	words := strings.Fields(strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(text), "{"), "}"))
	if len(words) != 6 || words[0] != "epoch" || words[2] != "writer" || words[4] != "set" {
		return r, fmt.Errorf("%q is not a record of the lane; write it like \"epoch 4 writer 1 set 1:9f3c,2:51aa\", as `onebeat status` shows it", text)
	}
	epoch, err := strconv.ParseUint(words[1], 10, 32)
	if err != nil {
		return r, fmt.Errorf("epoch %q is not a number of 32 bits", words[1])
	}
	writer, err := strconv.ParseUint(words[3], 10, 8)
	if err != nil {
		return r, fmt.Errorf("writer %q is not a node number from 1 to 255", words[3])
	}
	members := strings.Split(words[5], ",")
	if len(members) > MaxMembers {
		return r, fmt.Errorf("%d members in the set; a lane has at most %d", len(members), MaxMembers)
	}
	for i, m := range members {
		if r.Set[i], err = parseMember(m); err != nil {
			return Record{}, err
		}
	}
	r.Epoch, r.Writer = uint32(epoch), uint8(writer)
	if r == (Record{}) || !r.Valid() {
		return Record{}, fmt.Errorf("%q is not a valid record: its epoch is 1 or more, its writer one of its set, no node twice", text)
	}
	return r, nil
}

func parseMember(text string) (Member, error) {
	number, incarnation, ok := strings.Cut(text, ":")
	node, err := strconv.ParseUint(number, 10, 8)
	if !ok || err != nil {
		return Member{}, fmt.Errorf("member %q is not node:incarnation, like 1:9f3c", text)
	}
	inc, err := strconv.ParseUint(incarnation, 16, 64)
	if err != nil {
		return Member{}, fmt.Errorf("incarnation %q of node %d is not a hexadecimal number of 64 bits", incarnation, node)
	}
	return Member{Node: uint8(node), Incarnation: inc}, nil
}
