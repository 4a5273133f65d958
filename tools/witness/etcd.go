package witness

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"onebeat/mirror/etcd/member"
	"onebeat/tools/control"
)

// EtcdOptions say which member of an etcd cluster to run.
type EtcdOptions struct {
	member.Options
	RunDir string // of the control socket, which carries the member's name
}

// RunEtcd runs a member of an etcd cluster until ctx ends. The nodes ask it with
// arbitration = "etcd", as they ask any other member.
func RunEtcd(ctx context.Context, o EtcdOptions, log *slog.Logger) error {
	if err := os.MkdirAll(o.DataDir, 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	since := time.Now()
	m, err := member.Start(ctx, o.Options)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	socket, err := control.Serve(control.SocketPath(o.RunDir, o.Name), control.Access{}, func(_ context.Context, r control.Request) (any, error) {
		switch r.Cmd {
		case control.CmdStatus:
			s := m.Status()
			return &control.WitnessStatus{Name: o.Name, PID: os.Getpid(), Version: Version, Listen: o.Client.String(),
				Boot: fmt.Sprintf("%x", s.Cluster), Since: since.UTC(),
				Etcd: &control.EtcdStatus{Member: fmt.Sprintf("%x", s.ID), Leader: fmt.Sprintf("%x", s.Leader), DataDir: o.DataDir}}, nil
		case control.CmdStop:
			stop()
			return nil, nil
		}
		return nil, fmt.Errorf("unknown command %q: an etcd member knows status and stop; its keys are seeded by the lanes' nodes, or with etcdctl", r.Cmd)
	})
	if err != nil {
		return errors.Join(err, m.Close())
	}
	log.Info("running", "etcd", o.Name, "client", o.Client, "peer", o.Peer, "data", o.DataDir)
	select {
	case <-ctx.Done():
	case err = <-m.Err():
	}
	err = errors.Join(err, socket.Close(), m.Close())
	log.Info("stopped")
	return err
}
