package wire

import (
	"encoding/binary"

	"onebeat/mirror/lane"
)

// Auth authenticates the frames of one direction of a lane.
type Auth struct {
	Enabled bool // off: the MAC is 0 and nothing is checked
	Sip     [2]uint64
	NH      *[NHWords]uint32
}

// Seal computes the MAC of a whole frame (header, records, ride) and stores it.
func (a *Auth) Seal(b []byte) {
	h := (*[HeaderBytes]byte)(b)
	mac := uint64(0)
	if a.Enabled {
		mac = a.mac(h, b[HeaderBytes:])
	}
	binary.LittleEndian.PutUint64(h[offMAC:], mac)
}

// mac is the sums of NH over header and payload under SipHash, see bpf/auth.h.
func (a *Auth) mac(h *[HeaderBytes]byte, payload []byte) uint64 {
	sum0, sum1 := nhHeader(a.NH, h)
	counter := binary.LittleEndian.Uint64(h[offCounter:])
	return sipWords(&a.Sip, counter, sum0+NH(a.NH, payload), sum1)
}

// Verify reports whether a whole frame, already parsed, carries its MAC.
func (a *Auth) Verify(b []byte) bool {
	if !a.Enabled {
		return true
	}
	if len(b) < HeaderBytes || len(b) > HeaderBytes+PayloadMaxBytes {
		return false
	}
	h := (*[HeaderBytes]byte)(b)
	// One comparison of two words: nothing here depends on how many bytes fit.
	return a.mac(h, b[HeaderBytes:]) == binary.LittleEndian.Uint64(h[offMAC:])
}

// Replay refuses what was seen: the counter of every sending path must rise.
type Replay struct {
	last [lane.Paths]uint64
}

// Accept reports whether the counter is above the path's last one, and makes it
// the last one.
func (r *Replay) Accept(path uint8, counter uint64) bool {
	if path >= lane.Paths || counter <= r.last[path] {
		return false
	}
	r.last[path] = counter
	return true
}

// Reset forgets all counters: at new session keys, which start them anew.
func (r *Replay) Reset() { *r = Replay{} }
