package config

import (
	"fmt"
	"strconv"
)

// Operator is who may use the node's control socket, beside root and the user that
// the node runs as. The kernel says who is at the other end.
type Operator struct {
	UIDs []uint32 `toml:"uids"`
	// SocketMode is the mode of the socket file; who cannot open it is not even
	// asked who they are.
	SocketMode Mode `toml:"socket_mode" default:"0600"`
	// SocketGroup is the group id of the socket file; 0: the node's.
	SocketGroup int `toml:"socket_group" default:"0" range:"0.."`
}

// Mode is the mode of a file, written as octal digits: "0660".
type Mode uint32

// String writes it the way the file does.
func (m Mode) String() string { return fmt.Sprintf("%04o", uint32(m)) }

// MarshalText writes it the way the file does.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads octal digits.
func (m *Mode) UnmarshalText(text []byte) error {
	v, err := strconv.ParseUint(string(text), 8, 32)
	if err != nil || v > 0o777 {
		return fmt.Errorf("%q is not the mode of a file; write it like \"0660\"", text)
	}
	*m = Mode(v)
	return nil
}

// operator: who is listed must be able to open the socket, and nobody else need.
func (k *checker) operator() {
	o := &k.c.Operator
	if !k.ok("operator.uids", "operator.socket_mode") {
		return
	}
	switch {
	case o.SocketMode&0o600 != 0o600:
		k.fail("operator.socket_mode", fmt.Sprintf("%v keeps the node's own user out", o.SocketMode), "use 0600, or 0660 with socket_group")
	case o.SocketMode&0o022 == 0 && len(o.UIDs) > 0:
		k.fail("operator.socket_mode", fmt.Sprintf("%v: those in uids cannot open the socket", o.SocketMode), "use 0660 with socket_group, or 0666: the uids are checked in any case")
	}
}
