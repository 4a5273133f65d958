package member

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Options of a member.
type Options struct {
	Name    string // of the member in its cluster
	DataDir string // its log and database: fsynced for every change
	Client  netip.AddrPort
	Peer    netip.AddrPort
	// Cluster lists all members as name=URL, separated by commas; empty: this
	// one is alone.
	Cluster string
	// Join: the cluster runs already, and `etcdctl member add` has announced
	// this member.
	Join bool
	// CertFile, KeyFile and CAFile secure both ports, and who connects must show
	// a certificate of the same authority; empty: no TLS.
	CertFile, KeyFile, CAFile string
	LogLevel                  string
}

// Member is a running member.
type Member struct {
	etcd  *embed.Etcd
	level zap.AtomicLevel
}

// ErrStart means that a member did not come up.
var ErrStart = errors.New("the etcd member did not start")

// Start starts a member and waits until it serves: a member of several waits for
// a majority.
func Start(ctx context.Context, o Options) (*Member, error) {
	cfg, err := o.config()
	if err != nil {
		return nil, err
	}
	level, err := logTo(cfg, o.LogLevel)
	if err != nil {
		return nil, err
	}
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStart, err)
	}
	select {
	case <-e.Server.ReadyNotify():
		return &Member{e, level}, nil
	case err = <-e.Err():
	case <-ctx.Done():
		err = errors.New("stopped before a majority of its cluster was there")
		e.Server.HardStop()
	}
	e.Close()
	return nil, fmt.Errorf("%w: %w", ErrStart, err)
}

func (o *Options) config() (*embed.Config, error) {
	if o.Name == "" || !filepath.IsAbs(o.DataDir) {
		return nil, fmt.Errorf("%w: it needs a name and the absolute path of a data directory, has %q and %q", ErrStart, o.Name, o.DataDir)
	}
	scheme := "http"
	if o.CertFile != "" {
		scheme = "https"
	}
	at := func(a netip.AddrPort) []url.URL { return []url.URL{{Scheme: scheme, Host: a.String()}} }
	cfg := embed.NewConfig()
	cfg.Name, cfg.Dir = o.Name, o.DataDir
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = at(o.Client), at(o.Client)
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = at(o.Peer), at(o.Peer)
	cfg.InitialCluster = o.Cluster
	if o.Cluster == "" {
		cfg.InitialCluster = cfg.InitialClusterFromName(o.Name)
	}
	cfg.InitialClusterToken = "onebeat"
	if o.Join {
		cfg.ClusterState = embed.ClusterStateFlagExisting
	}
	if o.CertFile != "" {
		cfg.ClientTLSInfo = transport.TLSInfo{CertFile: o.CertFile, KeyFile: o.KeyFile, TrustedCAFile: o.CAFile, ClientCertAuth: o.CAFile != ""}
		cfg.PeerTLSInfo = cfg.ClientTLSInfo
	}
	// A lane's key has a handful of revisions a day; keep an hour of them.
	cfg.AutoCompactionMode, cfg.AutoCompactionRetention = embed.CompactorModePeriodic, "1h"
	return cfg, nil
}

// logTo makes the member log to standard error, from a level on that can be
// changed: etcd tells of its own orderly end as of errors, with stack traces.
func logTo(cfg *embed.Config, level string) (zap.AtomicLevel, error) {
	at, err := zap.ParseAtomicLevel(level)
	if err != nil {
		return at, fmt.Errorf("%w: log level: %w", ErrStart, err)
	}
	c := zap.NewProductionConfig()
	c.Level, c.Encoding, c.DisableStacktrace = at, "console", true
	c.EncoderConfig.EncodeTime = zapcore.ISO8601TimeEncoder
	log, err := c.Build()
	if err != nil {
		return at, fmt.Errorf("%w: log: %w", ErrStart, err)
	}
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(log)
	return at, nil
}

// Status is what a member says about itself.
type Status struct {
	ID, Leader, Cluster uint64 // Leader 0: there is none
}

// Status returns the member's.
func (m *Member) Status() Status {
	s := m.etcd.Server
	return Status{ID: uint64(s.MemberID()), Leader: uint64(s.Leader()), Cluster: uint64(s.Cluster().ID())}
}

// Err tells of a failure that ends the member.
func (m *Member) Err() <-chan error { return m.etcd.Err() }

// closeTimeout bounds the wait for the last transactions.
const closeTimeout = 5 * time.Second

// Close ends the member; its data stays.
func (m *Member) Close() error {
	m.level.SetLevel(zapcore.FatalLevel)
	done := make(chan struct{})
	go func() {
		m.etcd.Close()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-time.After(closeTimeout):
		return fmt.Errorf("the etcd member does not stop within %v", closeTimeout)
	}
}
