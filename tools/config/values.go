package config

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// KeyBytes is the length of a link key.
const KeyBytes = 32

// Duration is a length of time, written like "250us" or "5ms".
type Duration time.Duration

// Ns returns the duration in nanoseconds.
func (d Duration) Ns() int64 { return int64(d) }

// String writes it the way the file does.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText writes it the way the file does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads a Go duration string.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a duration; write a number with its unit, like \"250us\", \"5ms\" or \"1s\"", text)
	}
	if v < 0 {
		return fmt.Errorf("%q is negative; write a positive duration", text)
	}
	*d = Duration(v)
	return nil
}

// Wait is a duration or forever.
type Wait int64

// WaitForever never ends.
const WaitForever Wait = -1

// Ns returns the wait in nanoseconds, -1 for forever.
func (w Wait) Ns() int64 { return int64(w) }

// String writes it the way the file does.
func (w Wait) String() string {
	if w == WaitForever {
		return "forever"
	}
	return time.Duration(w).String()
}

// MarshalText writes it the way the file does.
func (w Wait) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

// UnmarshalText reads "forever" or a positive duration.
func (w *Wait) UnmarshalText(text []byte) error {
	if string(text) == "forever" {
		*w = WaitForever
		return nil
	}
	v, err := time.ParseDuration(string(text))
	if err != nil || v <= 0 {
		return fmt.Errorf("%q is neither \"forever\" nor a positive duration like \"20ms\"", text)
	}
	*w = Wait(v)
	return nil
}

// Size is a number of bytes, written as a number or like "16MiB".
type Size int64

// Bytes returns the size.
func (s Size) Bytes() int64 { return int64(s) }

var sizeUnits = []struct {
	suffix string
	shift  uint
}{{"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"B", 0}}

// String writes it with the largest unit that divides it.
func (s Size) String() string {
	for i := 2; i >= 0; i-- {
		if u := sizeUnits[i]; s != 0 && int64(s)&(1<<u.shift-1) == 0 {
			return strconv.FormatInt(int64(s)>>u.shift, 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

// MarshalText writes it the way the file does.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads "16MiB", "64KiB", "1GiB" or plain bytes.
func (s *Size) UnmarshalText(text []byte) error {
	number, shift := string(text), uint(0)
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(number, u.suffix); ok {
			number, shift = rest, u.shift
			break
		}
	}
	v, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
	if err != nil || v < 0 || v > (1<<62)>>shift {
		return fmt.Errorf("%q is not a size; write bytes with a unit, like \"16MiB\" or \"512KiB\"", text)
	}
	*s = Size(v << shift)
	return nil
}

// IP is an IPv4 address in network order.
type IP [4]byte

// IsZero reports whether no address was given.
func (ip IP) IsZero() bool { return ip == IP{} }

// Addr returns it as a netip address.
func (ip IP) Addr() netip.Addr { return netip.AddrFrom4(ip) }

// String writes dotted decimal.
func (ip IP) String() string { return netip.AddrFrom4(ip).String() }

// MarshalText writes dotted decimal.
func (ip IP) MarshalText() ([]byte, error) { return []byte(ip.String()), nil }

// UnmarshalText reads dotted decimal.
func (ip *IP) UnmarshalText(text []byte) error {
	a, err := netip.ParseAddr(string(text))
	if err != nil || !a.Is4() {
		return fmt.Errorf("%q is not an IPv4 address; write it like \"10.10.0.100\"", text)
	}
	if a.IsMulticast() || a.IsUnspecified() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return fmt.Errorf("%q is not one host's address; give a unicast address", text)
	}
	*ip = a.As4()
	return nil
}

// Endpoint is an IPv4 address with its port.
type Endpoint struct{ netip.AddrPort }

// UnmarshalText reads "10.98.0.100:7500".
func (e *Endpoint) UnmarshalText(text []byte) error {
	host, port, ok := strings.Cut(string(text), ":")
	var ip IP
	if !ok || ip.UnmarshalText([]byte(host)) != nil {
		return fmt.Errorf("%q is not an IPv4 address and a port; write it like \"10.98.0.100:7500\"", text)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return fmt.Errorf("%q has no port from 1 to 65535; write it like \"10.98.0.100:7500\"", text)
	}
	e.AddrPort = netip.AddrPortFrom(ip.Addr(), uint16(n))
	return nil
}

// IP returns the address.
func (e Endpoint) IP() IP { return e.Addr().As4() }

// Port is a UDP port.
type Port uint16

// UUID names a FIXP session.
type UUID [16]byte

// String writes the canonical form.
func (u UUID) String() string {
	h := hex.EncodeToString(u[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// MarshalText writes the canonical form.
func (u UUID) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

var errUUID = errors.New("is not a UUID; write 8-4-4-4-12 hexadecimal digits (uuidgen prints one)")

// UnmarshalText reads the canonical form.
func (u *UUID) UnmarshalText(text []byte) error {
	s := string(text)
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return fmt.Errorf("%q %w", text, errUUID)
	}
	b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil || len(b) != len(u) {
		return fmt.Errorf("%q %w", text, errUUID)
	}
	copy(u[:], b)
	if *u == (UUID{}) {
		return fmt.Errorf("%q is the nil UUID, which names no session; generate one with uuidgen", text)
	}
	return nil
}
