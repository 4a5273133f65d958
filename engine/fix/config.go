package fix

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"onebeat/engine/fix/store"
)

// ErrConfig is wrapped by every refusal of a configuration.
var ErrConfig = errors.New("FIX configuration")

// Session is how one configured session behaves; Config.Sessions has them in the order
// of store.Config.Sessions. One without a Target stands for sessions that nobody
// configured: whoever comes gets a place of this kind.
type Session struct {
	store.SessionConfig
	Name string
	// Initiate is how it is begun, of a session with a venue.
	Initiate Venue
	// Echo sends D and d messages back instead of giving orders to the lane's
	// application.
	Echo bool
	// Username and Password are what a Logon must carry; empty: none are asked for. FIX
	// 4.2 has the password in RawData (96).
	Username, Password string
	// Allowed are the addresses that may log on; none: all.
	Allowed []netip.Prefix
	// CertificateName is the name that the client's certificate must have; empty: any.
	CertificateName string
	Schedule        Schedule
	// HeartbeatMin and HeartbeatMax bound what a Logon may ask for [1 s, 60 s].
	HeartbeatMin, HeartbeatMax time.Duration
	// Latency is how far SendingTime may be off [120 s]; below 0: any.
	Latency time.Duration
	// Rate is how many messages a second a client may send, Burst how many at once; 0:
	// no bound. What is beyond waits in the client's socket.
	Rate, Burst int
	// Validate checks messages by the dictionary.
	Validate bool
	// AllowUser lets fields from 5000 up through that the dictionary does not know.
	AllowUser bool
	// NextExpected is whether Logons carry NextExpectedMsgSeqNum (789) if the client's
	// does.
	NextExpected                              bool
	ResetOnLogon, ResetOnLogout, ResetOnLeave bool
	// LogoutTimeout is how long a Logout may stay unanswered [2 s].
	LogoutTimeout time.Duration
}

// Config of an Acceptor; zero values of bounds mean the defaults in brackets.
type Config struct {
	Sessions []Session
	// TLS, if not nil, is what connections begin with.
	TLS *tls.Config
	// LogonTimeout is how long a connection may be without a Logon [10 s].
	LogonTimeout time.Duration
	// ConnectionsMax bounds the connections, PendingMax those before their Logon, and
	// PerAddressMax those before it of one address [2048, 256, 64].
	ConnectionsMax, PendingMax, PerAddressMax int
	// MessageMax bounds one message [8192 bytes].
	MessageMax int
	// BacklogMax bounds what waits for a client that does not read [4 MiB].
	BacklogMax int
	// MessageLog is a directory for logs of all messages; empty: none.
	MessageLog string
	Log        *slog.Logger
	// Talk, if not nil, is told that sessions are attended from now on, and that none was
	// for a while: cores may be kept awake in between.
	Talk func(on bool)
	// Now is the wall clock.
	Now func() time.Time
}

func orDefault[T comparable](v *T, def T) {
	if *v == *new(T) {
		*v = def
	}
}

func (c *Config) complete() error {
	orDefault(&c.LogonTimeout, 10*time.Second)
	orDefault(&c.ConnectionsMax, 2048)
	orDefault(&c.PendingMax, 256)
	orDefault(&c.PerAddressMax, 64)
	orDefault(&c.MessageMax, store.MessageMaxBytes)
	orDefault(&c.BacklogMax, 4<<20)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.MessageMax < 256 || c.MessageMax > store.MessageMaxBytes {
		return fmt.Errorf("%w: messages of at most %d bytes: give 256 to %d", ErrConfig, c.MessageMax, store.MessageMaxBytes)
	}
	for i := range c.Sessions {
		s := &c.Sessions[i]
		orDefault(&s.HeartbeatMin, time.Second)
		orDefault(&s.HeartbeatMax, time.Minute)
		orDefault(&s.Latency, 120*time.Second)
		orDefault(&s.LogoutTimeout, 2*time.Second)
		if s.SessionConfig.Venue {
			if err := s.Initiate.complete(); err != nil {
				return fmt.Errorf("session %s: %w", s.Name, err)
			}
		}
		if s.Rate > 0 && s.Burst == 0 {
			s.Burst = s.Rate
		}
		if s.Names == nil {
			return fmt.Errorf("%w: session %s has no names of symbols", ErrConfig, s.Name)
		}
		if s.Rate < 0 || s.Burst < 0 || s.HeartbeatMin > s.HeartbeatMax {
			return fmt.Errorf("%w: session %s: rate %d, burst %d, heartbeats from %v to %v", ErrConfig, s.Name, s.Rate, s.Burst, s.HeartbeatMin, s.HeartbeatMax)
		}
	}
	return nil
}
