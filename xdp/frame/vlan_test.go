package frame

import (
	"bytes"
	"testing"
)

func TestVLAN(t *testing.T) {
	src := Endpoint{MAC: [6]byte{2, 0, 0, 0, 0, 1}, IP: IPv4([4]byte{10, 0, 0, 1}), Port: 4000}
	dst := Endpoint{MAC: [6]byte{2, 0, 0, 0, 0, 2}, IP: IPv4([4]byte{10, 0, 0, 2}), Port: 5000}
	const text = "an order"
	build := func(v VLAN) []byte {
		b := make([]byte, v.Bytes()+HeaderBytes+len(text))
		copy(b[v.Bytes()+HeaderBytes:], text)
		var tmpl Template
		tmpl.PutSummed(b[v.Bytes():], &src, src.Port, &dst, len(text))
		v.Put(b)
		return b
	}
	plain, tagged := build(0), build(0x123)
	want := append(append(append([]byte(nil), plain[:12]...), 0x81, 0, 1, 0x23), plain[12:]...)
	if !bytes.Equal(tagged, want) {
		t.Fatalf("tagged %x, want %x", tagged, want)
	}
	moved := append(append([]byte(nil), plain...), 0, 0, 0, 0)
	if n := VLAN(0x123).Tag(moved, len(plain)); n != len(moved) || !bytes.Equal(moved, want) {
		t.Errorf("Tag: %d bytes %x", n, moved)
	}
	if n := VLAN(0).Tag(moved, len(plain)); n != len(plain) || !bytes.Equal(moved, want) {
		t.Errorf("without a VLAN Tag changes the frame: %d bytes %x", n, moved)
	}
	priority := bytes.Clone(tagged)
	priority[14] |= 0xe0
	padded := append(bytes.Clone(tagged), make([]byte, 10)...)
	for name, c := range map[string]struct {
		vlan VLAN
		b    []byte
		ok   bool
	}{
		"plain": {0, plain, true}, "tagged": {0x123, tagged, true}, "with a priority": {0x123, priority, true}, "padded": {0x123, padded, true},
		"plain where tags are": {0x123, plain, false}, "tagged where none are": {0, tagged, false},
		"another VLAN": {0x124, tagged, false}, "cut": {0x123, tagged[:len(tagged)-1], false}, "headers cut": {0x123, tagged[:45], false},
		"nothing": {0x123, nil, false},
	} {
		var from Endpoint
		before := bytes.Clone(c.b)
		payload, port, ok := c.vlan.Parse(c.b, &from)
		if ok != c.ok || ok && (string(payload) != text || port != dst.Port || from != src) {
			t.Errorf("%s: %q to port %d from %+v: %v", name, payload, port, from, ok)
		}
		if !bytes.Equal(before, c.b) {
			t.Errorf("%s: Parse changed the frame", name)
		}
	}
	var from Endpoint
	if n := testing.AllocsPerRun(100, func() { VLAN(0x123).Parse(tagged, &from); VLAN(0x123).Put(moved) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
