package operator

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// Bounds of a command's texts.
const (
	WhoMaxBytes = 32
	WhyMaxBytes = 120
	// MaxBytes bounds a payload.
	MaxBytes = headBytes + WhoMaxBytes + WhyMaxBytes
)

const (
	mark      = "\x00command\x01"
	version   = 1
	headBytes = 66
)

// Command is one command. Who and Why alias the payload that Parse read.
type Command struct {
	Kind    Kind
	UID     uint32
	UnixNs  int64
	Session uint32
	Account uint32
	Symbol  uint32
	What    uint32
	Order   uint64
	Value   int64
	Price   int64
	Who     []byte
	Why     []byte
}

// New returns a command that names nothing yet.
func New(k Kind) Command { return Command{Kind: k, Session: None, Account: None, Symbol: None} }

// Put encodes c and returns the payload; b has MaxBytes. Longer texts are cut.
func (c *Command) Put(b []byte) []byte {
	who, why := c.Who[:min(len(c.Who), WhoMaxBytes)], c.Why[:min(len(c.Why), WhyMaxBytes)]
	n := copy(b, mark)
	b[n] = version
	le := binary.LittleEndian
	le.PutUint16(b[10:], uint16(c.Kind))
	le.PutUint32(b[12:], c.UID)
	le.PutUint64(b[16:], uint64(c.UnixNs))
	le.PutUint32(b[24:], c.Session)
	le.PutUint32(b[28:], c.Account)
	le.PutUint32(b[32:], c.Symbol)
	le.PutUint32(b[36:], c.What)
	le.PutUint64(b[40:], c.Order)
	le.PutUint64(b[48:], uint64(c.Value))
	le.PutUint64(b[56:], uint64(c.Price))
	b[64], b[65] = byte(len(who)), byte(len(why))
	n = headBytes
	n += copy(b[n:], who)
	n += copy(b[n:], why)
	return b[:n]
}

// IsCommand reports whether an operator record's payload is a Command.
func IsCommand(payload []byte) bool {
	return len(payload) >= headBytes && string(payload[:len(mark)]) == mark
}

// Parse decodes a payload and reports whether it is a well-formed Command. That
// this program knows the kind is another question.
func (c *Command) Parse(payload []byte) bool {
	if !IsCommand(payload) || payload[len(mark)] != version {
		return false
	}
	who, why := int(payload[64]), int(payload[65])
	if len(payload) != headBytes+who+why || who > WhoMaxBytes || why > WhyMaxBytes {
		return false
	}
	le := binary.LittleEndian
	c.Kind, c.UID = Kind(le.Uint16(payload[10:])), le.Uint32(payload[12:])
	c.UnixNs = int64(le.Uint64(payload[16:]))
	c.Session, c.Account = le.Uint32(payload[24:]), le.Uint32(payload[28:])
	c.Symbol, c.What = le.Uint32(payload[32:]), le.Uint32(payload[36:])
	c.Order = le.Uint64(payload[40:])
	c.Value, c.Price = int64(le.Uint64(payload[48:])), int64(le.Uint64(payload[56:]))
	c.Who, c.Why = payload[headBytes:headBytes+who:headBytes+who], payload[headBytes+who:]
	return true
}

// String is the command for people; who applies it may know better names.
func (c *Command) String() string {
	var b strings.Builder
	b.WriteString(c.Kind.String())
	for _, n := range []struct {
		name string
		id   uint32
	}{{"session", c.Session}, {"account", c.Account}, {"symbol", c.Symbol}} {
		if n.id != None {
			fmt.Fprintf(&b, " %s %d", n.name, n.id)
		}
	}
	if named := c.Session != None || c.Account != None || c.Symbol != None; !named {
		b.WriteString(map[Kind]string{Kill: " all", KillRelease: " all", RiskSet: " default"}[c.Kind])
	}
	if c.Order != 0 {
		fmt.Fprintf(&b, " order %d", c.Order)
	}
	switch {
	case c.Kind == RiskSet && c.Value == Unset:
		fmt.Fprintf(&b, " %s inherited", LimitName(c.What))
	case c.Kind == RiskSet:
		fmt.Fprintf(&b, " %s=%d", LimitName(c.What), c.Value)
	case c.Value != 0:
		fmt.Fprintf(&b, " value %d", c.Value)
	}
	if c.Price != 0 {
		fmt.Fprintf(&b, " price %d", c.Price)
	}
	fmt.Fprintf(&b, " by %s (uid %d)", c.Who, c.UID)
	if len(c.Why) > 0 {
		fmt.Fprintf(&b, ": %s", c.Why)
	}
	return b.String()
}
