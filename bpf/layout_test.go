package bpf

import (
	"reflect"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"

	"onebeat/mirror/lane"
)

// The lane table exists once, in C. Go's view of it must be the same to the
// byte, field by field.
func TestLaneLayout(t *testing.T) {
	spec, err := loadLink()
	if err != nil {
		t.Fatal(err)
	}
	var c *btf.Struct
	if err := spec.Types.TypeByName("ob_lane", &c); err != nil {
		t.Fatal(err)
	}
	if sizes := [2]uint32{LaneBytes, lane.TableBytes}; sizes != [2]uint32{c.Size, c.Size} {
		t.Errorf("ob_lane has %d bytes, bpf.LaneBytes %d, lane.TableBytes %d", c.Size, LaneBytes, lane.TableBytes)
	}
	compare(t, "ob_lane", c, reflect.TypeFor[lane.Table]())
}

// renamed are fields whose C name does not become the Go name by itself.
var renamed = map[string]string{"cfg": "Config", "ip": "IP", "ip6": "IP6", "mac": "MAC", "ns": "Ns"}

func goName(c string) string {
	var b strings.Builder
	for _, part := range strings.Split(c, "_") {
		if r, ok := renamed[part]; ok {
			b.WriteString(r)
			continue
		}
		b.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return b.String()
}

func compare(t *testing.T, path string, c *btf.Struct, g reflect.Type) {
	t.Helper()
	if uintptr(c.Size) < g.Size() {
		t.Errorf("%s: %d bytes in C, %d in Go", path, c.Size, g.Size())
	}
	named := 0
	for _, m := range c.Members {
		if strings.HasPrefix(m.Name, "reserved") || m.Name == "pad" {
			continue
		}
		name := goName(m.Name)
		f, ok := g.FieldByName(name)
		if !ok {
			t.Errorf("%s.%s: no field %s in Go", path, m.Name, name)
			continue
		}
		named++
		if f.Offset != uintptr(m.Offset.Bytes()) {
			t.Errorf("%s.%s: offset %d in C, %d in Go", path, m.Name, m.Offset.Bytes(), f.Offset)
		}
		if s, ok := btf.UnderlyingType(m.Type).(*btf.Struct); ok {
			compare(t, path+"."+m.Name, s, f.Type)
			continue
		}
		size, err := btf.Sizeof(m.Type)
		if err != nil {
			t.Fatal(err)
		}
		if uintptr(size) != f.Type.Size() {
			t.Errorf("%s.%s: %d bytes in C, %d in Go", path, m.Name, size, f.Type.Size())
		}
	}
	for i := range g.NumField() {
		if g.Field(i).Name != "_" {
			named--
		}
	}
	if named != 0 {
		t.Errorf("%s: Go has %d fields that C lacks", path, -named)
	}
}
