package node

import (
	"context"
	"net"
	"net/netip"
	"time"

	"onebeat/engine/fix"
	"onebeat/tools/config"
)

// venueSession maps a venue that speaks FIX.
func venueSession(l *config.Lane, v *config.Venue) (fix.Session, error) {
	f := v.FIX
	base, err := sessionConfig(l, &config.FIXSession{Name: v.Name, Version: f.Version, Sender: f.Sender, SenderSub: f.SenderSub,
		Target: f.Target, TargetSub: f.TargetSub, Accounts: f.Accounts})
	if err != nil {
		return fix.Session{}, err
	}
	base.Venue = true
	at := netip.AddrPortFrom(v.Address.Addr(), uint16(v.Port)).String()
	return fix.Session{SessionConfig: base, Name: v.Name, Validate: f.Validate, AllowUser: f.UserFields, Username: f.Username, Password: f.Password, HeartbeatMax: 10 * time.Minute,
		Initiate: fix.Venue{Heartbeat: time.Duration(f.Heartbeat), Reconnect: time.Duration(v.Reconnect), ReconnectMax: time.Duration(v.ReconnectMax),
			ResetOnLoss: f.ResetOnLoss, Dial: func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, "tcp", at) }}}, nil
}
