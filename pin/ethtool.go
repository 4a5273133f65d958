package pin

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ethtool performs one command of the driver of a NIC: buf is the command's
// structure (linux/ethtool.h), and holds the answer afterwards.
type ethtool interface {
	do(nic string, buf []byte) error
}

// ErrNoSetting means that there is no NIC setting of this name.
var ErrNoSetting = errors.New("no such NIC setting")

// ethtool returns what to ask: nil where there are no drivers.
func (h Host) ethtool() ethtool {
	if h.tool != nil {
		return h.tool
	}
	if h.Root != "" {
		return nil
	}
	return drivers{}
}

// nicSetting is one number in the structure of two commands.
type nicSetting struct {
	get, set uint32 // commands; set 0: read only
	words    int    // of the structure, 32 bits each
	word     int
	bit      uint32 // within the word; 0: all of it
}

// Commands and structures of linux/ethtool.h.
const (
	coalesceWords = 23 // struct ethtool_coalesce
	ringWords     = 9  // struct ethtool_ringparam
	channelWords  = 9  // struct ethtool_channels
	pauseWords    = 4  // struct ethtool_pauseparam
	valueWords    = 2  // struct ethtool_value

	getRuleCount   = 0x2e // ETHTOOL_GRXCLSRLCNT
	getIndirection = 0x38 // ETHTOOL_GRXFHINDIR
	ruleBytes      = 192  // struct ethtool_rxnfc
	ruleCountAt    = 184
)

var nicSettings = map[string]nicSetting{
	"rx-usecs":        {0x0e, 0x0f, coalesceWords, 1, 0},
	"tx-usecs":        {0x0e, 0x0f, coalesceWords, 5, 0},
	"adaptive-rx":     {0x0e, 0x0f, coalesceWords, 10, 0},
	"adaptive-tx":     {0x0e, 0x0f, coalesceWords, 11, 0},
	"rx-ring":         {0x10, 0, ringWords, 5, 0},
	"rx-pause":        {0x12, 0x13, pauseWords, 2, 0},
	"tx-pause":        {0x12, 0x13, pauseWords, 3, 0},
	"gro":             {0x2b, 0x2c, valueWords, 1, 0},
	"txvlan":          {0x25, 0x26, valueWords, 1, 1 << 7},
	"rxvlan":          {0x25, 0x26, valueWords, 1, 1 << 8},
	"lro":             {0x25, 0x26, valueWords, 1, 1 << 15},
	"rx-queues":       {0x3c, 0, channelWords, 5, 0},
	"combined-queues": {0x3c, 0, channelWords, 8, 0},
}

func command(cmd uint32, bytes int) []byte {
	buf := make([]byte, bytes)
	binary.NativeEndian.PutUint32(buf, cmd)
	return buf
}

func getSetting(tool ethtool, nic, name string) (uint32, error) {
	s, ok := nicSettings[name]
	if !ok {
		return 0, fmt.Errorf("%w: %q", ErrNoSetting, name)
	}
	buf := command(s.get, 4*s.words)
	if err := tool.do(nic, buf); err != nil {
		return 0, fmt.Errorf("%s of %s: %w", name, nic, err)
	}
	v := binary.NativeEndian.Uint32(buf[4*s.word:])
	if s.bit == 0 {
		return v, nil
	}
	if v&s.bit != 0 {
		return 1, nil
	}
	return 0, nil
}

// putSetting changes one number and leaves its neighbours as they are.
func putSetting(tool ethtool, nic, name string, value uint32) error {
	s, ok := nicSettings[name]
	if !ok || s.set == 0 {
		return fmt.Errorf("%w: %q", ErrNoSetting, name)
	}
	buf := command(s.get, 4*s.words)
	if err := tool.do(nic, buf); err != nil {
		return fmt.Errorf("%s of %s: %w", name, nic, err)
	}
	at := buf[4*s.word:]
	switch v := binary.NativeEndian.Uint32(at); {
	case s.bit == 0:
		binary.NativeEndian.PutUint32(at, value)
	case value == 0:
		binary.NativeEndian.PutUint32(at, v&^s.bit)
	default:
		binary.NativeEndian.PutUint32(at, v|s.bit)
	}
	binary.NativeEndian.PutUint32(buf, s.set)
	if err := tool.do(nic, buf); err != nil {
		return fmt.Errorf("set %s of %s to %d: %w", name, nic, value, err)
	}
	return nil
}

// rules returns how many ntuple rules steer frames.
func rules(tool ethtool, nic string) uint32 {
	buf := command(getRuleCount, ruleBytes)
	if tool.do(nic, buf) != nil {
		return 0
	}
	return binary.NativeEndian.Uint32(buf[ruleCountAt:])
}

// indirection returns over how many queues RSS spreads frames; 0: not known.
func indirection(tool ethtool, nic string) int {
	buf := command(getIndirection, 8)
	if tool.do(nic, buf) != nil {
		return 0
	}
	size := binary.NativeEndian.Uint32(buf[4:])
	if size == 0 || size > 1<<16 {
		return 0
	}
	buf = command(getIndirection, int(8+4*size))
	binary.NativeEndian.PutUint32(buf[4:], size)
	if tool.do(nic, buf) != nil {
		return 0
	}
	queues := map[uint32]bool{}
	for i := 8; i < len(buf); i += 4 {
		queues[binary.NativeEndian.Uint32(buf[i:])] = true
	}
	return len(queues)
}
