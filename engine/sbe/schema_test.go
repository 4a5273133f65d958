package sbe

import (
	"encoding/binary"
	"encoding/xml"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// xmlSchema reads the schema by itself, not with the generator's types: what
// sbegen misread would otherwise be misread here too and go unseen.
type xmlSchema struct {
	ID      uint16 `xml:"id,attr"`
	Version uint16 `xml:"version,attr"`
	Order   string `xml:"byteOrder,attr"`
	Types   struct {
		Enums []struct {
			Name     string `xml:"name,attr"`
			Encoding string `xml:"encodingType,attr"`
			Values   []struct {
				Name  string `xml:"name,attr"`
				Value string `xml:",chardata"`
			} `xml:"validValue"`
		} `xml:"enum"`
	} `xml:"types"`
	Messages []struct {
		Name   string `xml:"name,attr"`
		ID     uint16 `xml:"id,attr"`
		Block  int    `xml:"blockLength,attr"`
		Fields []struct {
			Name   string `xml:"name,attr"`
			Type   string `xml:"type,attr"`
			Offset int    `xml:"offset,attr"`
			Since  uint16 `xml:"sinceVersion,attr"`
		} `xml:"field"`
	} `xml:"message"`
}

func readSchema(t *testing.T) *xmlSchema {
	text, err := os.ReadFile("onebeat.xml")
	if err != nil {
		t.Fatal(err)
	}
	var s xmlSchema
	if err := xml.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	return &s
}

// flyweights by message name.
var flyweights = map[string]any{
	"Negotiate": &Negotiate{}, "NegotiationResponse": &NegotiationResponse{}, "NegotiationReject": &NegotiationReject{},
	"Establish": &Establish{}, "EstablishmentAck": &EstablishmentAck{}, "EstablishmentReject": &EstablishmentReject{},
	"Sequence": &Sequence{}, "Context": &Context{}, "UnsequencedHeartbeat": &UnsequencedHeartbeat{},
	"RetransmitRequest": &RetransmitRequest{}, "Retransmission": &Retransmission{}, "RetransmitReject": &RetransmitReject{},
	"Terminate": &Terminate{}, "NotApplied": &NotApplied{}, "NewOrderSingle": &NewOrderSingle{},
	"OrderCancelRequest": &OrderCancelRequest{}, "OrderCancelReplaceRequest": &OrderCancelReplaceRequest{},
	"FinishedSending": &FinishedSending{}, "FinishedReceiving": &FinishedReceiving{},
	"Refused": &Refused{}, "OrderStatusRequest": &OrderStatusRequest{}, "ExecutionReport": &ExecutionReport{}, "Reject": &Reject{},
	"DropCopy": &DropCopy{},
}

// TestSchemaMatchesCode writes a pattern through every setter and finds it at
// the schema's offset with the schema's size, and nowhere else.
func TestSchemaMatchesCode(t *testing.T) {
	s := readSchema(t)
	if s.ID != SchemaID || s.Version != SchemaVersion || s.Order != "littleEndian" {
		t.Fatalf("schema %d version %d %s, code has %d version %d", s.ID, s.Version, s.Order, SchemaID, SchemaVersion)
	}
	sizes := map[string]int{"uint8": 1, "uint16": 2, "uint32": 4, "int64": 8, "uint64": 8, "UUID": 16}
	for _, e := range s.Types.Enums {
		sizes[e.Name] = sizes[e.Encoding]
	}
	if len(s.Messages) != len(flyweights) {
		t.Fatalf("%d messages in the schema, %d in this test", len(s.Messages), len(flyweights))
	}
	for _, m := range s.Messages {
		f, ok := flyweights[m.Name]
		if !ok {
			t.Fatalf("message %s has no flyweight here", m.Name)
		}
		v, base := reflect.ValueOf(f), m.Block
		for _, field := range m.Fields {
			if field.Since != 0 {
				base = min(base, field.Offset)
			}
		}
		if TemplateName(m.ID) != m.Name || BlockBytes(m.ID) != m.Block || v.Elem().Len() != base {
			t.Errorf("%s: template %d is %s, block %d, array %d; schema says %d", m.Name, m.ID, TemplateName(m.ID),
				BlockBytes(m.ID), v.Elem().Len(), m.Block)
		}
		end := 0
		for _, field := range m.Fields {
			if field.Offset < end || field.Offset+sizes[field.Type] > m.Block {
				t.Errorf("%s.%s: offset %d overlaps or leaves the block of %d", m.Name, field.Name, field.Offset, m.Block)
			}
			end = field.Offset + sizes[field.Type]
			if field.Since != 0 {
				continue // TestFieldsOfLaterVersions
			}
			checkField(t, m.Name+"."+field.Name, v, field.Name, field.Offset, sizes[field.Type])
		}
	}
}

func checkField(t *testing.T, what string, v reflect.Value, name string, offset, size int) {
	set, get := v.MethodByName("Set"+name), v.MethodByName(name)
	if !set.IsValid() || !get.IsValid() {
		t.Errorf("%s: no accessor", what)
		return
	}
	v.Elem().SetZero()
	if size == 16 {
		id := UUID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
		set.Call([]reflect.Value{reflect.ValueOf(&id)})
		if got := *get.Call(nil)[0].Interface().(*UUID); got != id {
			t.Errorf("%s: reads %x", what, got)
		}
	} else {
		argument := reflect.New(set.Type().In(0)).Elem()
		pattern := uint64(0x0807060504030201) >> (64 - 8*size)
		if argument.CanInt() {
			argument.SetInt(int64(pattern))
		} else {
			argument.SetUint(pattern)
		}
		set.Call([]reflect.Value{argument})
		if got := get.Call(nil)[0]; !got.Equal(argument) {
			t.Errorf("%s: wrote %v, reads %v", what, argument, got)
		}
		var want [8]byte
		binary.LittleEndian.PutUint64(want[:], pattern)
		for i := range size {
			if got := byte(v.Elem().Index(offset + i).Uint()); got != want[i] {
				t.Errorf("%s: byte %d is %#x, want %#x", what, offset+i, got, want[i])
			}
		}
	}
	for i := range v.Elem().Len() {
		if (i < offset || i >= offset+size) && v.Elem().Index(i).Uint() != 0 {
			t.Errorf("%s: also changed byte %d", what, i)
		}
	}
}

func TestEnumsMatchSchema(t *testing.T) {
	words := ""
	for _, file := range []string{"session.go", "orders.go"} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		words += strings.Join(strings.Fields(string(source)), " ")
	}
	for _, e := range readSchema(t).Types.Enums {
		for _, v := range e.Values {
			want := e.Name + v.Name + " " + e.Name + " = " + strings.TrimSpace(v.Value)
			if !strings.Contains(words, want) {
				t.Errorf("the generated code lacks %q: run go generate ./engine/sbe", want)
			}
			if _, err := strconv.ParseUint(strings.TrimSpace(v.Value), 10, 16); err != nil {
				t.Errorf("%s.%s: %v", e.Name, v.Name, err)
			}
		}
	}
}
