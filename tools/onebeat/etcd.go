package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"onebeat/mirror/etcd/member"
	"onebeat/tools/config"
	"onebeat/tools/witness"
)

// etcdFlags are the settings of an embedded etcd member.
type etcdFlags struct {
	dataDir, listenPeer, cluster string
	join                         bool
	certFile, keyFile, caFile    string
}

const etcdPeerPort = 2380

func (e *etcdFlags) register(f *pflag.FlagSet) {
	f.StringVar(&e.dataDir, "data-dir", "", "etcd: directory of the member's log and database; every change is fsynced there")
	f.StringVar(&e.listenPeer, "listen-peer", "", "etcd: address and port for the other members; default port 2380 of --listen's address")
	f.StringVar(&e.cluster, "cluster", "", "etcd: all members as name=URL,…; default: this one is alone")
	f.BoolVar(&e.join, "join", false, "etcd: the cluster runs already, and `etcdctl member add` has announced this member")
	f.StringVar(&e.certFile, "tls-cert", "", "etcd: certificate of this member, for clients and members")
	f.StringVar(&e.keyFile, "tls-key", "", "etcd: its key")
	f.StringVar(&e.caFile, "tls-ca", "", "etcd: authority whose certificates clients and members must show")
}

// runEtcd runs a member of an etcd cluster.
func (o *witnessFlags) runEtcd(c *cobra.Command) error {
	e := &o.member
	var client, peer config.Endpoint
	if err := client.UnmarshalText([]byte(o.listen)); err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	if e.listenPeer == "" {
		e.listenPeer = fmt.Sprintf("%v:%d", client.Addr(), etcdPeerPort)
	}
	if err := peer.UnmarshalText([]byte(e.listenPeer)); err != nil {
		return fmt.Errorf("--listen-peer: %w", err)
	}
	switch {
	case e.dataDir == "":
		return errors.New("--data-dir is missing: an etcd member keeps its log there")
	case (e.certFile == "") != (e.keyFile == "") || e.caFile != "" && e.certFile == "":
		return errors.New("--tls-cert and --tls-key belong together, and --tls-ca to both")
	}
	dir, err := filepath.Abs(e.dataDir)
	if err != nil {
		return err
	}
	log, err := witnessLog(o.logLevel)
	if err != nil {
		return err
	}
	return witness.RunEtcd(c.Context(), witness.EtcdOptions{RunDir: o.runDir, Options: member.Options{
		Name: o.name, DataDir: dir, Client: client.AddrPort, Peer: peer.AddrPort, Cluster: e.cluster, Join: e.join,
		CertFile: e.certFile, KeyFile: e.keyFile, CAFile: e.caFile, LogLevel: "warn",
	}}, log)
}
