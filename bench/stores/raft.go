package stores

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"onebeat/bench/lab"
)

const (
	raftPort  = 7600
	raftServe = 7700
)

// Raft is three members of hashicorp/raft with logs in memory, one on node-a,
// which leads, and two on node-b, speaking TCP; a client on node-a's order NIC
// sends a write over TCP and is answered when two of them have it. All of it is
// this process.
type Raft struct {
	members  []*raftMember
	listener net.Listener
	conn     net.Conn
	reader   *bufio.Reader
}

var _ Store = (*Raft)(nil)

// Name implements Store.
func (*Raft) Name() string { return "raft" }

// What implements Store.
func (*Raft) What() string { return "Apply of hashicorp/raft; three members, logs in memory" }

// raftMember is one of them; it counts what it applied.
type raftMember struct {
	lab       *lab.Lab
	place     string
	address   string
	listener  net.Listener
	transport *raft.NetworkTransport
	raft      *raft.Raft
	applied   atomic.Int64
}

// Start implements Store.
func (r *Raft) Start(l *lab.Lab) error {
	if err := r.up(l); err != nil {
		return errors.Join(err, r.Stop())
	}
	return nil
}

func (r *Raft) up(l *lab.Lab) error {
	places := []struct {
		place string
		ip    [4]byte
		port  uint16
	}{{lab.NodeA, lab.NodeALinkIP, raftPort}, {lab.NodeB, lab.NodeBLinkIP, raftPort}, {lab.NodeB, lab.NodeBLinkIP, raftPort + 1}}
	var voters []raft.Server
	for _, p := range places {
		m := &raftMember{lab: l, place: p.place, address: at(p.ip, p.port)}
		r.members = append(r.members, m)
		voters = append(voters, raft.Server{ID: raft.ServerID(m.address), Address: raft.ServerAddress(m.address)})
		if err := m.open(); err != nil {
			return err
		}
	}
	first := r.members[0]
	if err := first.raft.BootstrapCluster(raft.Configuration{Servers: voters[:1]}).Error(); err != nil {
		return err
	}
	if err := new(servers).until("raft's leader", func() error { return first.raft.VerifyLeader().Error() }); err != nil {
		return err
	}
	for _, s := range voters[1:] {
		if err := first.raft.AddVoter(s.ID, s.Address, 0, readyTimeout).Error(); err != nil {
			return err
		}
	}
	return r.serve(l)
}

func (m *raftMember) open() (err error) {
	err = m.lab.Do(m.place, func() error {
		m.listener, err = net.Listen("tcp4", m.address)
		return err
	})
	if err != nil {
		return err
	}
	m.transport = raft.NewNetworkTransport(m, 3, writeTimeout, io.Discard)
	c := raft.DefaultConfig()
	c.LocalID, c.LogOutput = raft.ServerID(m.address), io.Discard
	store := raft.NewInmemStore()
	m.raft, err = raft.NewRaft(c, m, store, store, raft.NewInmemSnapshotStore(), m.transport)
	return err
}

// Dial implements raft.StreamLayer.
func (m *raftMember) Dial(address raft.ServerAddress, _ time.Duration) (net.Conn, error) {
	return dial(m.lab, m.place, string(address))
}

// Accept implements raft.StreamLayer.
func (m *raftMember) Accept() (net.Conn, error) { return m.listener.Accept() }

// Close implements raft.StreamLayer.
func (m *raftMember) Close() error { return m.listener.Close() }

// Addr implements raft.StreamLayer.
func (m *raftMember) Addr() net.Addr { return m.listener.Addr() }

// Apply implements raft.FSM.
func (m *raftMember) Apply(*raft.Log) any {
	m.applied.Add(1)
	return nil
}

// Snapshot implements raft.FSM.
func (*raftMember) Snapshot() (raft.FSMSnapshot, error) { return nothing{}, nil }

// Restore implements raft.FSM.
func (*raftMember) Restore(r io.ReadCloser) error { return r.Close() }

// nothing is the snapshot of a state that is a counter.
type nothing struct{}

// Persist implements raft.FSMSnapshot.
func (nothing) Persist(sink raft.SnapshotSink) error { return sink.Close() }

// Release implements raft.FSMSnapshot.
func (nothing) Release() {}

// serve answers the client's writes: a length, then the payload; the answer is
// one byte.
func (r *Raft) serve(l *lab.Lab) error {
	address := at(lab.NodeAIP, raftServe)
	err := l.Do(lab.NodeA, func() (err error) {
		r.listener, err = net.Listen("tcp4", address)
		return err
	})
	if err != nil {
		return err
	}
	leader := r.members[0].raft
	go func() {
		c, err := r.listener.Accept()
		if err != nil {
			return // closed
		}
		defer c.Close()
		reader := bufio.NewReader(c)
		for {
			var length [4]byte
			if _, err := io.ReadFull(reader, length[:]); err != nil {
				return
			}
			b := make([]byte, binary.LittleEndian.Uint32(length[:]))
			if _, err := io.ReadFull(reader, b); err != nil {
				return
			}
			answer := [1]byte{}
			if leader.Apply(b, writeTimeout).Error() == nil {
				answer[0] = 1
			}
			if _, err := c.Write(answer[:]); err != nil {
				return
			}
		}
	}()
	if r.conn, err = dial(l, lab.Client, address); err != nil {
		return err
	}
	r.reader = bufio.NewReader(r.conn)
	return nil
}

// Write implements Store.
func (r *Raft) Write(payload []byte) error {
	if err := r.conn.SetDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(payload)))
	if _, err := r.conn.Write(append(b, payload...)); err != nil {
		return err
	}
	answer, err := r.reader.ReadByte()
	if err != nil {
		return err
	}
	if answer != 1 {
		return fmt.Errorf("raft refuses a write")
	}
	return nil
}

// Copied implements Store.
func (r *Raft) Copied() (int, error) { return int(r.members[1].applied.Load()), nil }

// Stop implements Store.
func (r *Raft) Stop() error {
	var errs []error
	if r.conn != nil {
		_ = r.conn.Close() // nothing is owed
	}
	if r.listener != nil {
		errs = append(errs, r.listener.Close())
	}
	for _, m := range r.members {
		if m.raft != nil {
			errs = append(errs, m.raft.Shutdown().Error())
		}
		if m.transport != nil {
			errs = append(errs, m.transport.Close())
		} else if m.listener != nil {
			errs = append(errs, m.listener.Close())
		}
	}
	*r = Raft{}
	return errors.Join(errs...)
}
