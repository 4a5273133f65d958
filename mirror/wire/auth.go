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

// Fill copies records (a multiple of StepBytes) and ride behind each other to
// payload, which is long enough, and returns what SealHeader needs to know.
func (a *Auth) Fill(payload, records, ride []byte) (nh uint64) {
	if !a.Enabled {
		copy(payload[copy(payload, records):], ride)
		return 0
	}
	return nhCopy(payload, records, a.NH, 0) + nhCopy(payload[len(records):], ride, a.NH, len(records))
}

// Seal computes the MAC of a whole frame (header, records, ride) and stores it.
func (a *Auth) Seal(b []byte) {
	a.SealHeader((*[HeaderBytes]byte)(b), a.Sum(b[HeaderBytes:]))
}

// Sum is Fill for a payload that stands in its frame already.
func (a *Auth) Sum(payload []byte) (nh uint64) {
	if !a.Enabled {
		return 0
	}
	return NH(a.NH, payload)
}

// SealHeader is Seal for a payload that Fill put together and returned nh of.
func (a *Auth) SealHeader(h *[HeaderBytes]byte, nh uint64) {
	mac := uint64(0)
	if a.Enabled {
		mac = a.mac(h, nh)
	}
	binary.LittleEndian.PutUint64(h[offMAC:], mac)
}

// mac is the sums of NH over header and payload under SipHash, see bpf/auth.h.
func (a *Auth) mac(h *[HeaderBytes]byte, nh uint64) uint64 {
	sum0, sum1 := nhHeader(a.NH, h)
	counter := binary.LittleEndian.Uint64(h[offCounter:])
	return sipWords(&a.Sip, counter, sum0+nh, sum1)
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
	return a.mac(h, NH(a.NH, b[HeaderBytes:])) == binary.LittleEndian.Uint64(h[offMAC:])
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
