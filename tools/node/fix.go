package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"onebeat/bpf"
	"onebeat/engine/cold"
	"onebeat/engine/fix"
	"onebeat/engine/fix/convert"
	"onebeat/engine/fix/store"
	"onebeat/tools/config"
	"onebeat/tools/lanetcp"
)

// fixParts are a lane's FIX sessions, with clients and venues; nil: it has none.
type fixParts struct {
	port     *cold.Port
	loop     *doorbell // ends the loop's sleep
	pump     *doorbell // ends the acceptor's
	acceptor *fix.Acceptor
	connects *bpf.Connects // nil: an address may begin as many as it likes
}

// pumpSleep is how long the acceptor sleeps at most.
const pumpSleep = 100 * time.Millisecond

// addFIX makes the port between a lane's loop and its acceptor, before its machine.
func (n *Node) addFIX(p *laneParts) error {
	if p.cfg.FIX == nil && len(p.cfg.FIXVenues()) == 0 {
		return nil
	}
	f := &fixParts{}
	var err error
	if f.loop, err = newDoorbell(); err != nil {
		return err
	}
	n.closer = append(n.closer, f.loop.close)
	if f.pump, err = newDoorbell(); err != nil {
		return err
	}
	n.closer = append(n.closer, f.pump.close)
	f.port = cold.NewPort(f.loop.ring, f.pump.ring)
	p.fix = f
	return nil
}

// fixPort is what a lane's machines write to.
func (p *laneParts) fixPort() *cold.Port {
	if p.fix == nil {
		return nil
	}
	return p.fix.port
}

// openFIX starts the acceptors, on every node and whatever its role: who is not ACTIVE
// gets no connection.
func (n *Node) openFIX() error {
	for _, p := range n.lanes {
		if p.fix == nil {
			continue
		}
		cfg, err := acceptorConfig(n.cfg.File, p.cfg, n.dial)
		if err != nil {
			return fmt.Errorf("lane %d: %w", p.cfg.ID, err)
		}
		cfg.Log, cfg.Now, cfg.Talk = n.log.With("lane", p.cfg.ID), n.wall, n.cores.talk
		a, err := fix.NewAcceptor(cfg, p.fix.port, func() { p.fix.pump.wait(pumpSleep) }, p.fix.pump.ring)
		if err != nil {
			return fmt.Errorf("lane %d: %w", p.cfg.ID, err)
		}
		p.fix.acceptor = a
		if p.cfg.FIX != nil {
			l := p.tcp[0] // tcpPorts names FIX first; closed after the acceptor, which takes nobody in any more
			if err := n.boundConnects(p, l); err != nil {
				return fmt.Errorf("lane %d: %w", p.cfg.ID, err)
			}
			go func() {
				if err := a.Serve(l); err != nil {
					n.log.Error("FIX listener", "lane", p.cfg.ID, "error", err)
				}
			}()
		}
		n.closer = append(n.closer, func() error {
			ctx, cancel := context.WithTimeout(context.Background(), n.goodbye(p))
			defer cancel()
			return a.Close(ctx)
		})
	}
	return nil
}

// connectsAtOnce is how many connections an address may begin at once, in times of those
// that may be pending: all of its sessions come back after a failover.
const connectsAtOnce = 4

// boundConnects puts the bound of connections before a lane's listener. A node without
// kernel programs may not be allowed to: then connections are bounded once they are there.
func (n *Node) boundConnects(p *laneParts, l *lanetcp.Listener) error {
	f := p.cfg.FIX
	if f.Connects == 0 {
		return nil
	}
	c, err := bpf.NewConnects(f.Connects, connectsAtOnce*f.PerAddress)
	if err == nil {
		n.closer = append(n.closer, c.Close)
		err = c.Attach(l)
	}
	if err != nil && n.kernel == nil {
		n.log.Warn("connects_per_address is not in force", "lane", p.cfg.ID, "error", err)
		return nil
	}
	p.fix.connects = c
	return err
}

// goodbye is how long clients of a lane that nobody takes over may take for their
// Logouts; with a peer they are to go on there, and hear nothing.
func (n *Node) goodbye(p *laneParts) time.Duration {
	if p.cfg.Peer != 0 {
		return 0
	}
	return 100 * time.Millisecond
}

// storeConfig is the replicated side of a lane's FIX sessions.
func storeConfig(l *config.Lane, port *cold.Port) (store.Config, error) {
	c := store.Config{Port: port}
	if l.FIX != nil {
		c.RetainMessages, c.RetainBytes, c.OrdersMax = l.FIX.RetainMessages, int(l.FIX.RetainSize), l.FIX.Orders
	}
	for _, s := range l.FIXSessions() {
		x, err := sessionConfig(l, s)
		if err != nil {
			return c, err
		}
		c.Sessions = append(c.Sessions, x)
	}
	for _, v := range l.FIXVenues() {
		x, err := venueStore(l, v)
		if err != nil {
			return c, err
		}
		c.Sessions = append(c.Sessions, x)
	}
	return c, nil
}

func sessionConfig(l *config.Lane, s *config.FIXSession) (store.SessionConfig, error) {
	version, _ := convert.ParseVersion(s.Version)
	var instruments []convert.Instrument
	for _, x := range l.Symbols {
		tick, err := convert.ParseTick(x.Tick)
		if err != nil {
			return store.SessionConfig{}, err
		}
		instruments = append(instruments, convert.Instrument{ID: x.ID, Name: x.Name, Tick: tick})
	}
	var accounts map[string]uint32
	for _, a := range s.Accounts {
		if accounts == nil {
			accounts = map[string]uint32{}
		}
		accounts[a.Name] = a.ID
	}
	names, err := convert.NewNames(version, instruments, accounts, s.Account)
	if err != nil {
		return store.SessionConfig{}, fmt.Errorf("FIX session %s: %w", s.Name, err)
	}
	x := store.SessionConfig{Names: names, CancelNs: s.CancelOnDisconnect.Ns()}
	if s.Places == 0 {
		x.ID = store.ID{Version: version, Sender: s.Sender, SenderSub: s.SenderSub, Target: s.Target, TargetSub: s.TargetSub}
	}
	return x, nil
}

// acceptorConfig is the other side.
func acceptorConfig(file string, l *config.Lane, dial dialFunc) (fix.Config, error) {
	var c fix.Config
	if f := l.FIX; f != nil {
		c = fix.Config{LogonTimeout: time.Duration(f.LogonTimeout), ConnectionsMax: f.Connections, PendingMax: f.Pending, PerAddressMax: f.PerAddress,
			BacklogMax: int(f.Backlog), MessageLog: f.MessageLog}
		var err error
		if c.TLS, err = fixTLS(file, f); err != nil {
			return c, err
		}
	}
	for _, s := range l.FIXSessions() {
		x, err := acceptorSession(l, s)
		if err != nil {
			return c, err
		}
		c.Sessions = append(c.Sessions, x)
	}
	for _, v := range l.FIXVenues() {
		x, err := venueSession(file, l, v, dial)
		if err != nil {
			return c, err
		}
		c.Sessions = append(c.Sessions, x)
	}
	return c, nil
}

func acceptorSession(l *config.Lane, s *config.FIXSession) (fix.Session, error) {
	base, err := sessionConfig(l, s)
	if err != nil {
		return fix.Session{}, err
	}
	x := fix.Session{SessionConfig: base, Name: s.Name, Echo: s.App == config.FIXEcho, Username: s.Username, Password: s.Password,
		CertificateName: s.CertificateName, HeartbeatMin: time.Duration(s.HeartbeatMin), HeartbeatMax: time.Duration(s.HeartbeatMax),
		Latency: time.Duration(s.Latency), Rate: s.MessagesPerSecond, Burst: s.Burst, Validate: s.Validate, AllowUser: s.UserFields,
		NextExpected: s.NextExpected, ResetOnLogon: s.ResetOnLogon, ResetOnLogout: s.ResetOnLogout, ResetOnLeave: s.ResetOnDisconnect}
	if x.Latency == 0 {
		x.Latency = -1
	}
	if x.Schedule, err = fix.NewSchedule(s.Start, s.End, s.Zone, s.Days, s.StartDay, s.EndDay); err != nil {
		return x, err
	}
	for _, a := range s.Allow {
		p, err := config.ParsePrefix(a)
		if err != nil {
			return x, err
		}
		x.Allowed = append(x.Allowed, p)
	}
	return x, nil
}

// fixTLS reads the certificates; nil: clear text.
func fixTLS(file string, f *config.FIX) (*tls.Config, error) {
	if f.Certificate == "" {
		return nil, nil
	}
	own, err := tls.LoadX509KeyPair(besideFile(file, f.Certificate), besideFile(file, f.Key))
	if err != nil {
		return nil, fmt.Errorf("fix.certificate, fix.key: %w", err)
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{own}}
	if f.Authorities == "" {
		return c, nil
	}
	if c.ClientCAs, err = readAuthorities(besideFile(file, f.Authorities)); err != nil {
		return nil, fmt.Errorf("fix.authorities: %w", err)
	}
	c.ClientAuth = tls.RequireAndVerifyClientCert
	return c, nil
}

// besideFile is a path of a configuration file: a relative one begins where that is.
func besideFile(file, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(file), path)
}

func readAuthorities(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate: give a PEM file", path)
	}
	return pool, nil
}
