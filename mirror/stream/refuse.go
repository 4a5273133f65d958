package stream

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Reason says why a client or its request is refused. Each is counted.
type Reason uint16

const (
	_               Reason = iota
	ReasonBusy             // too many connections
	ReasonTLS              // no handshake: certificate, protocol, or silence
	ReasonName             // the certificate is not of the node it says it is, or of none that may ask
	ReasonVersion          // of the protocol
	ReasonFrame            // a frame that makes no sense here
	ReasonLane             // no such lane here
	ReasonNotHere          // the node serves nothing of the lane now: its log may be no beginning of the lane's
	ReasonHistory          // the records are gone from ring and archive: a snapshot is needed
	ReasonOtherLife        // the client's log is of another life of the lane
	ReasonBehind           // the client's log is newer than the server's
	ReasonSnapshot         // there is no snapshot
	ReasonSalvage          // the end of the log is not for this client, or not yet
	ReasonDamage           // the server's own log is harmed there
	ReasonSlow             // the client did not read or say anything for too long
	ReasonReplaced         // the same client came again
	ReasonClosing          // the server ends
	reasonEnd
)

var reasonNames = [...]string{"", "busy", "tls", "name", "version", "frame", "lane", "not_here", "history", "other_life",
	"behind", "snapshot", "salvage", "damage", "slow", "replaced", "closing"}

func (r Reason) String() string {
	if r > 0 && r < reasonEnd {
		return reasonNames[r]
	}
	return fmt.Sprintf("reason %d", uint16(r))
}

// Refused is a server's no.
type Refused struct {
	Reason Reason
	Text   string
}

func (r *Refused) Error() string { return fmt.Sprintf("refused: %v: %s", r.Reason, r.Text) }

// Is makes errors.Is find a Refused by its reason alone.
func (r *Refused) Is(target error) bool {
	var t *Refused
	return errors.As(target, &t) && t.Reason == r.Reason && t.Text == ""
}

// Sentinels for errors.Is.
var (
	// ErrHistory means that records are gone from the server's ring and archive.
	ErrHistory error = &Refused{Reason: ReasonHistory}
	// ErrNoSnapshot means that the server has none.
	ErrNoSnapshot error = &Refused{Reason: ReasonSnapshot}
	// ErrOtherLife means that the client's log is of another life of the lane.
	ErrOtherLife error = &Refused{Reason: ReasonOtherLife}
	// ErrBehind means that the server's log is older than the client's.
	ErrBehind error = &Refused{Reason: ReasonBehind}
	// ErrNotHere means that the server's node cannot vouch for its log now.
	ErrNotHere error = &Refused{Reason: ReasonNotHere}
)

// textMaxBytes bounds what a refusal says.
const textMaxBytes = 400

func refuse(reason Reason, format string, values ...any) *Refused {
	text := fmt.Sprintf(format, values...)
	return &Refused{reason, text[:min(len(text), textMaxBytes)]}
}

// put encodes {reason u16, text}.
func (r *Refused) put(b []byte) []byte {
	return append(binary.LittleEndian.AppendUint16(b, uint16(r.Reason)), r.Text...)
}

func (r *Refused) parse(b []byte) error {
	if len(b) < 2 || len(b) > 2+textMaxBytes {
		return malformed(TypeRefused, b)
	}
	r.Reason, r.Text = Reason(binary.LittleEndian.Uint16(b)), string(b[2:])
	return nil
}

// Cut says that the client's log is no beginning of the server's: it must end at
// Position before it can go on.
type Cut struct{ Position uint64 }

func (c *Cut) Error() string {
	return fmt.Sprintf("the log must be cut at %d first: the lane went on without what follows there", c.Position)
}
