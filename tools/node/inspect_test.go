package node

import (
	"bytes"
	"encoding/json"
	"testing"

	"onebeat/bench/lab"
	"onebeat/mirror/archive"
	"onebeat/tools/inspect"
)

// A ring can be read and verified from outside, also that of a dead node, and a
// changed byte is found.
func TestRingIsReadFromOutside(t *testing.T) {
	w := steady(t, setting{app: "book"})
	table, mem := w.nodes[lab.NodeA].lanes[0].mem.table, w.nodes[lab.NodeA].lanes[0].mem.ringMem
	tail := table.Tail
	open := func() *inspect.Ring {
		t.Helper()
		r, err := inspect.OpenRing(w.lab.BPFFS(lab.NodeA), 0)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r := open()
	var out bytes.Buffer
	print := &inspect.Printer{W: &out, JSON: true}
	if err := inspect.Newest(r, &inspect.Filter{}, 3, func(*archive.Gap) {}, print.Print); err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(out.Bytes()), []byte("\n"))
	if len(lines) != 3 {
		t.Fatalf("%d lines of 3:\n%s", len(lines), out.Bytes())
	}
	var last inspect.Line
	if err := json.Unmarshal(lines[2], &last); err != nil {
		t.Fatal(err)
	}
	if last.Type != "message" || last.ClOrdID != w.client.nextID || last.Epoch != 2 {
		t.Errorf("the last record is %+v, want order %d of epoch 2", last, w.client.nextID)
	}
	if _, err := r.Verify(); err != nil {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	mem[tail/2&^31+40] ^= 1 // in the payload of some record in the middle
	r = open()
	if _, err := r.Verify(); err == nil {
		t.Error("a changed byte was not found")
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	mem[tail/2&^31+40] ^= 1
	if _, err := inspect.OpenRing(w.lab.BPFFS(lab.NodeA), 3); err == nil {
		t.Error("a lane that is not there was opened")
	}
}
