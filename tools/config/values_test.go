package config

import (
	"encoding"
	"testing"
)

type textValue interface {
	encoding.TextMarshaler
	encoding.TextUnmarshaler
}

func TestValuesReadAndWrite(t *testing.T) {
	for _, c := range []struct {
		v         textValue
		text, out string
	}{
		{new(Duration), "250us", "250µs"},
		{new(Wait), "forever", "forever"},
		{new(Wait), "20ms", "20ms"},
		{new(Size), "16MiB", "16MiB"},
		{new(Size), "65536", "64KiB"},
		{new(Size), "100B", "100B"},
		{new(IP), "10.1.2.3", "10.1.2.3"},
		{new(Address), "10.1.2.3", "10.1.2.3"},
		{new(Address), "fd00:0:0::a", "fd00::a"},
		{new(Address), "2001:DB8::1", "2001:db8::1"},
		{new(UUID), "6F9f0a52-5d1a-4d3f-9a34-0d6c5e9f1a01", "6f9f0a52-5d1a-4d3f-9a34-0d6c5e9f1a01"},
	} {
		if err := c.v.UnmarshalText([]byte(c.text)); err != nil {
			t.Errorf("%T %q: %v", c.v, c.text, err)
			continue
		}
		if b, err := c.v.MarshalText(); err != nil || string(b) != c.out {
			t.Errorf("%T %q came out as %q, %v", c.v, c.text, b, err)
		}
	}
}

func TestValuesRefuse(t *testing.T) {
	for _, c := range []struct {
		v    textValue
		text string
	}{
		{new(Duration), "-1ms"}, {new(Duration), ""}, {new(Duration), "5"},
		{new(Wait), "0s"}, {new(Wait), "never"},
		{new(Size), "16MB"}, {new(Size), "-1"}, {new(Size), "99999999999GiB"}, {new(Size), ""},
		{new(Address), "fd00::1/64"}, {new(Address), "[fd00::1]"}, {new(Address), ""}, {new(Address), "255.255.255.255"},
		{new(IP), "::1"}, {new(IP), "0.0.0.0"}, {new(IP), "255.255.255.255"},
		{new(UUID), "00000000-0000-0000-0000-000000000000"}, {new(UUID), "6f9f0a525d1a4d3f9a340d6c5e9f1a01xxxx"},
	} {
		if err := c.v.UnmarshalText([]byte(c.text)); err == nil {
			t.Errorf("%T took %q", c.v, c.text)
		}
	}
}
