package config

import (
	"fmt"
	"net/netip"
)

// Address is an address on the order network in network order, IPv4 as
// ::ffff:a.b.c.d.
type Address [16]byte

// IsZero reports whether no address was given.
func (a Address) IsZero() bool { return a == Address{} }

// Addr returns it as a netip address.
func (a Address) Addr() netip.Addr { return netip.AddrFrom16(a).Unmap() }

// Is4 reports whether it is an IPv4 address.
func (a Address) Is4() bool { return a.Addr().Is4() }

// Is reports whether it is this IPv4 address.
func (a Address) Is(ip IP) bool { return a.Addr() == ip.Addr() }

// String writes it as people do.
func (a Address) String() string { return a.Addr().String() }

// MarshalText writes it as people do.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads dotted decimal, or hexadecimal with colons.
func (a *Address) UnmarshalText(text []byte) error {
	ip, err := netip.ParseAddr(string(text))
	if err != nil {
		return fmt.Errorf("%q is not an IP address; write it like \"10.10.0.100\" or \"fd00::100\"", text)
	}
	if ip.Is4() {
		var four IP
		if err := four.UnmarshalText(text); err != nil {
			return err
		}
		*a = ip.As16()
		return nil
	}
	switch {
	case ip.Is4In6():
		return fmt.Errorf("%q is an IPv4 address in IPv6 notation; write \"%v\"", text, ip.Unmap())
	case ip.IsLinkLocalUnicast():
		// Its meaning depends on the host and NIC that uses it.
		return fmt.Errorf("%q is a link-local address: every network has the same ones, and each host gives them to itself; give a unique local address, like \"fd00::100\", or a global one", text)
	case ip.Zone() != "":
		return fmt.Errorf("%q has a zone; give the address without %%%s", text, ip.Zone())
	case ip.IsMulticast() || ip.IsUnspecified():
		return fmt.Errorf("%q is not one host's address; give a unicast address", text)
	}
	*a = ip.As16()
	return nil
}
