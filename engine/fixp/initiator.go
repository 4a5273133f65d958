package fixp

import (
	"onebeat/engine/sbe"
)

// InitiatorConfig configures an Initiator.
type InitiatorConfig struct {
	Session          sbe.UUID
	Key              Key
	Window           int // unanswered messages at most; a power of two
	BatchMessages    int // messages in one datagram at most
	MaxDatagramBytes int
	ResendNs         int64
	KeepAliveNs      int64
	ConnectNs        int64
	// Adopt: start behind the server's flow instead of asking for it from 1.
	Adopt bool
}

// Initiator is the client side of one session.
type Initiator struct{ cfg InitiatorConfig }

// NewInitiator returns an initiator that has sent nothing.
func NewInitiator(cfg InitiatorConfig) (*Initiator, error) { return &Initiator{cfg: cfg}, nil }

// Established reports whether messages may be sent.
func (i *Initiator) Established() bool { return false }

// Room returns how many more messages fit into the window.
func (i *Initiator) Room() int { return 0 }

// Unanswered returns how many messages wait for their first answer.
func (i *Initiator) Unanswered() int { return 0 }
