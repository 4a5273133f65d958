package node

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"time"

	"onebeat/engine/fix"
	"onebeat/engine/fix/store"
	"onebeat/tools/config"
)

// venueStore is the replicated side of a venue's FIX session.
func venueStore(l *config.Lane, v *config.Venue) (store.SessionConfig, error) {
	f := v.FIX
	x, err := sessionConfig(l, &config.FIXSession{Name: v.Name, Version: f.Version, Sender: f.Sender, SenderSub: f.SenderSub,
		Target: f.Target, TargetSub: f.TargetSub, Accounts: f.Accounts})
	x.Venue = true
	return x, err
}

// dialFunc connects to an address.
type dialFunc = func(ctx context.Context, address string) (net.Conn, error)

// venueSession maps a venue that speaks FIX; file is that of the configuration, dial
// how its address is reached, nil: as usual.
func venueSession(file string, l *config.Lane, v *config.Venue, dial dialFunc) (fix.Session, error) {
	f := v.FIX
	base, err := venueStore(l, v)
	if err != nil {
		return fix.Session{}, err
	}
	at := netip.AddrPortFrom(v.Address.Addr(), uint16(v.Port)).String()
	if dial == nil {
		dial = func(ctx context.Context, address string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		}
	}
	x := fix.Session{SessionConfig: base, Name: v.Name, Validate: f.Validate, AllowUser: f.UserFields, Username: f.Username, Password: f.Password, HeartbeatMax: 10 * time.Minute,
		Initiate: fix.Venue{Heartbeat: time.Duration(f.Heartbeat), Reconnect: time.Duration(v.Reconnect), ReconnectMax: time.Duration(v.ReconnectMax),
			ResetOnLoss: f.ResetOnLoss, Dial: func(ctx context.Context) (net.Conn, error) { return dial(ctx, at) }}}
	if x.Schedule, err = fix.NewSchedule(f.Start, f.End, f.Zone, f.Days, f.StartDay, f.EndDay); err != nil {
		return x, err
	}
	x.Initiate.TLS, err = venueTLS(file, v)
	return x, err
}

// venueTLS is how a venue is met; nil: in clear text.
func venueTLS(file string, v *config.Venue) (*tls.Config, error) {
	f := v.FIX
	if !f.TLS {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: cmp.Or(f.ServerName, v.Address.Addr().String())}
	if f.Authorities != "" {
		var err error
		if c.RootCAs, err = readAuthorities(besideFile(file, f.Authorities)); err != nil {
			return nil, fmt.Errorf("venue %s: fix.authorities: %w", v.Name, err)
		}
	}
	if f.Certificate != "" {
		own, err := tls.LoadX509KeyPair(besideFile(file, f.Certificate), besideFile(file, f.Key))
		if err != nil {
			return nil, fmt.Errorf("venue %s: fix.certificate, fix.key: %w", v.Name, err)
		}
		c.Certificates = []tls.Certificate{own}
	}
	return c, nil
}
