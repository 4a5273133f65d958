package bpf

import (
	"encoding/binary"
	"reflect"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"

	"onebeat/mirror/lane"
	"onebeat/mirror/recv"
	"onebeat/mirror/ring"
	"onebeat/mirror/wire"
)

func typeOf[T btf.Type](t *testing.T, name string) T {
	t.Helper()
	spec, err := loadLink()
	if err != nil {
		t.Fatal(err)
	}
	var c T
	if err := spec.Types.TypeByName(name, &c); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return c
}

// Go puts every field of a link header where C has it.
func TestLinkHeaderLayout(t *testing.T) {
	c := typeOf[*btf.Struct](t, "ob_link_hdr")
	if c.Size != wire.HeaderBytes || LinkHeaders != 42+int(c.Size) {
		t.Errorf("ob_link_hdr has %d bytes, wire.HeaderBytes is %d, LinkHeaders %d", c.Size, wire.HeaderBytes, LinkHeaders)
	}
	names := map[string]string{"length": "LengthBytes", "ride": "RideBytes"}
	for _, m := range c.Members {
		size, err := btf.Sizeof(m.Type)
		if err != nil {
			t.Fatal(err)
		}
		var h wire.Header
		var want uint64
		switch m.Name {
		case "magic":
			want = wire.Magic
		case "version":
			want = wire.Version
		case "mac", "reserved16":
		default:
			name := names[m.Name]
			if name == "" {
				name = goName(m.Name)
			}
			f := reflect.ValueOf(&h).Elem().FieldByName(name)
			if !f.IsValid() {
				t.Errorf("no field %s for %s", name, m.Name)
				continue
			}
			want = 1<<(8*size-1) | 5
			f.SetUint(want)
		}
		var b [wire.HeaderBytes + 8]byte
		h.Put(b[:wire.HeaderBytes])
		got := binary.LittleEndian.Uint64(b[m.Offset.Bytes():])
		if size < 8 {
			got &= 1<<(8*size) - 1
		}
		if got != want {
			t.Errorf("%s: %x at offset %d, want %x", m.Name, got, m.Offset.Bytes(), want)
		}
	}
}

func TestNHKeyLayout(t *testing.T) {
	c := typeOf[*btf.Struct](t, "ob_nh_key")
	if c.Size != 4*wire.NHWords || NHWords != wire.NHWords || PayloadMax != wire.PayloadMaxBytes {
		t.Errorf("ob_nh_key has %d bytes, wire.NHWords is %d, NHWords %d, PayloadMax %d", c.Size, wire.NHWords, NHWords, PayloadMax)
	}
}

func TestRecordHeaderSize(t *testing.T) {
	if c := typeOf[*btf.Struct](t, "ob_record_hdr"); c.Size != ring.HeaderBytes {
		t.Errorf("ob_record_hdr has %d bytes, ring.HeaderBytes is %d", c.Size, ring.HeaderBytes)
	}
	if RingSlackBytes != ring.SlackBytes {
		t.Errorf("RingSlackBytes %d, ring.SlackBytes %d", RingSlackBytes, ring.SlackBytes)
	}
}

// Numbers mean the same in C and in Go.
func TestEnums(t *testing.T) {
	c := typeOf[*btf.Enum](t, "ob_reason")
	if got := int(recv.ReasonCount); len(c.Values) != got+1 {
		t.Errorf("ob_reason has %d values, recv.Reason %d", len(c.Values)-1, got)
	}
	names, err := reasonNames()
	if err != nil {
		t.Fatal(err)
	}
	for value, name := range names {
		if got := recv.Reason(value).String(); got != name {
			t.Errorf("reason %d is %s in C, %s in Go", value, name, got)
		}
	}
	// Their names in Go.
	for name, goName := range map[string]func(uint64) string{
		"ob_state": func(v uint64) string { return "OB_" + lane.State(v).String() },
		"ob_type":  func(v uint64) string { return "OB_" + wire.Type(v).String() },
		"ob_why": func(v uint64) string {
			return "OB_WHY_" + strings.ToUpper(strings.ReplaceAll(lane.Why(v).String(), "-", "_"))
		},
	} {
		for _, v := range typeOf[*btf.Enum](t, name).Values {
			if got := goName(v.Value); got != strings.TrimSuffix(v.Name, "_FRAME") { // OB_FENCED is a state
				t.Errorf("%s is %d in C, which is %s in Go", v.Name, v.Value, got)
			}
		}
	}
}
