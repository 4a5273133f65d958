package stores

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"onebeat/bench/lab"
)

// Etcd is three members, one on node-a, which leads, and two on node-b: a write
// is a Put that two of them have.
type Etcd struct {
	servers
	client *clientv3.Client
	copyAt *clientv3.Client // of a member on node-b
	writes int
}

var _ Store = (*Etcd)(nil)

// Name implements Store.
func (*Etcd) Name() string { return "etcd" }

// What implements Store.
func (*Etcd) What() string { return "Put; three members, files in memory" }

// member is one of them.
type member struct {
	name, place  string
	peer, client string // host:port
	more         string // a further client address
}

func members() []member {
	return []member{
		{"a", lab.NodeA, at(lab.NodeALinkIP, 2380), at(lab.NodeALinkIP, 2379), at(lab.NodeAIP, 2379)},
		{"b", lab.NodeB, at(lab.NodeBLinkIP, 2380), at(lab.NodeBLinkIP, 2379), ""},
		{"c", lab.NodeB, at(lab.NodeBLinkIP, 2382), at(lab.NodeBLinkIP, 2381), ""},
	}
}

// Start implements Store.
func (e *Etcd) Start(l *lab.Lab) error {
	program, err := find("apt-get install etcd-server", "etcd")
	if err != nil {
		return err
	}
	if err := e.makeDir("etcd"); err != nil {
		return err
	}
	if err := e.up(l, program); err != nil {
		return errors.Join(err, e.Stop())
	}
	return nil
}

func (e *Etcd) up(l *lab.Lab, program string) error {
	var cluster []string
	for _, m := range members() {
		cluster = append(cluster, m.name+"=http://"+m.peer)
	}
	for _, m := range members() {
		clients := "http://" + m.client
		if m.more != "" {
			clients += ",http://" + m.more
		}
		if err := e.start(l, m.place, m.name, nil, program, "--name", m.name, "--data-dir", filepath.Join(e.dir, m.name),
			"--listen-peer-urls", "http://"+m.peer, "--initial-advertise-peer-urls", "http://"+m.peer,
			"--listen-client-urls", clients, "--advertise-client-urls", "http://"+m.client,
			"--initial-cluster", strings.Join(cluster, ","), "--initial-cluster-token", filepath.Base(e.dir)); err != nil {
			return err
		}
	}
	var err error
	if e.client, err = connectEtcd(l, lab.Client, at(lab.NodeAIP, 2379)); err != nil {
		return err
	}
	if e.copyAt, err = connectEtcd(l, lab.NodeB, at(lab.NodeBLinkIP, 2379)); err != nil {
		return err
	}
	return e.until("etcd", e.ready)
}

func connectEtcd(l *lab.Lab, place, endpoint string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{
		Endpoints: []string{"http://" + endpoint}, DialTimeout: readyTimeout, Logger: zap.NewNop(),
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(func(_ context.Context, address string) (net.Conn, error) {
			return dial(l, place, address)
		})},
	})
}

// ready makes the member in front of the client the leader: another one costs a
// hop more.
func (e *Etcd) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	s, err := e.client.Status(ctx, e.client.Endpoints()[0])
	if err != nil {
		return err
	}
	me := s.Header.MemberId
	switch s.Leader {
	case 0:
		return errors.New("no leader yet")
	case me:
		_, err := e.client.Put(ctx, "ready", "")
		return err
	}
	list, err := e.client.MemberList(ctx)
	if err != nil {
		return err
	}
	for _, m := range list.Members {
		if m.ID == s.Leader {
			if err := e.copyAtLeader(m.ClientURLs).moveLeader(ctx, me); err != nil {
				return err
			}
		}
	}
	return errors.New("another member leads")
}

// leader is a client of the member that leads.
type leader struct{ *clientv3.Client }

// copyAtLeader points the client on node-b at the leader.
func (e *Etcd) copyAtLeader(urls []string) leader {
	e.copyAt.SetEndpoints(urls...)
	return leader{e.copyAt}
}

func (l leader) moveLeader(ctx context.Context, to uint64) error {
	_, err := l.MoveLeader(ctx, to)
	return err
}

// Write implements Store.
func (e *Etcd) Write(payload []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	e.writes++
	_, err := e.client.Put(ctx, fmt.Sprintf("order/%d", e.writes), string(payload))
	return err
}

// Copied implements Store.
func (e *Etcd) Copied() (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	r, err := e.copyAt.Get(ctx, "order/", clientv3.WithPrefix(), clientv3.WithCountOnly(), clientv3.WithSerializable())
	if err != nil {
		return 0, err
	}
	return int(r.Count), nil
}

// Stop implements Store.
func (e *Etcd) Stop() error {
	for _, c := range []*clientv3.Client{e.client, e.copyAt} {
		if c != nil {
			_ = c.Close() // nothing is owed
		}
	}
	e.client, e.copyAt, e.writes = nil, nil, 0
	return e.stop()
}
