package node

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"onebeat/bench/lab"
	"onebeat/bench/scene"
	"onebeat/mirror/lane"
)

const streamPort = 7600

// streamed is a setting whose nodes keep archives and give them to each other. The
// writer goes on alone when its standby is gone.
func streamed(t *testing.T, s setting, snapshots bool) setting {
	t.Helper()
	s = saving(s, filepath.Join(t.TempDir(), "archive"), false)
	if snapshots {
		s.sections += "retain_size = \"256KiB\"\n[snapshot]\nrecords = 1000\nkeep = 2\n"
	}
	dir := t.TempDir()
	if err := scene.WriteCertificates(dir, 1, 2, 3, 4); err != nil {
		t.Fatal(err)
	}
	s.certificates = dir
	s.sections += fmt.Sprintf("[stream]\nlisten = \"10.10.0.$NODE:%d\"\ncertificate = \"%s/node-$NODE.crt\"\nkey = \"%s/node-$NODE.key\"\nauthorities = \"%s/authority.crt\"\nsalvage = \"10s\"\n",
		streamPort, dir, dir, dir)
	s.link += fmt.Sprintf("peer_stream = \"10.10.0.$PEER:%d\"\npeer_mirrord = \"10.10.0.$PEER:%d\"\n", streamPort, streamPort+1)
	return s
}

const alone = "wait = \"50ms\"\non_timeout = \"degrade\"\n"

// dialer connects from a place of the lab.
func (w *world) dialer(place string) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, address string) (c net.Conn, err error) {
		err = w.in(place, func() error {
			if c, err = new(net.Dialer).DialContext(ctx, "tcp", address); err == nil && w.faulty != nil {
				c = w.faulty(c)
			}
			return err
		})
		return c, err
	}
}

// longer writes at least so many bytes of log.
func (w *world) longer(bytes uint64) {
	w.t.Helper()
	a := w.nodes[lab.NodeA].lanes[0]
	if w.word(lab.NodeA).State() != lane.Active {
		a = w.nodes[lab.NodeB].lanes[0]
	}
	for end := a.mem.table.Tail + bytes; a.mem.table.Tail < end; {
		w.burst(2000, 20)
	}
}

// A standby that was away for longer than the rings reach back comes back: from the
// writer's archive, and where that no longer reaches back either, from its snapshot.
func TestStandbyAwayForLong(t *testing.T) {
	for _, snapshots := range []bool{false, true} {
		t.Run(fmt.Sprintf("snapshots %t", snapshots), func(t *testing.T) {
			w := steady(t, streamed(t, setting{app: "gateway", extra: alone}, snapshots))
			w.kill(lab.NodeB)
			w.longer(3 << 20)
			w.restart(lab.NodeB)
			w.untilState(lab.NodeB, lane.Standby)
			w.orders(100)
			w.sameState()
			w.giveLane(lab.NodeA, lab.NodeB)
			w.orders(100)
			w.checkOnce()
			w.sameState()
		})
	}
}

// A new standby with nothing replaces a lost one, and takes over.
func TestNewStandby(t *testing.T) {
	for _, snapshots := range []bool{false, true} {
		t.Run(fmt.Sprintf("snapshots %t", snapshots), func(t *testing.T) {
			w := steady(t, streamed(t, setting{app: "gateway", extra: alone}, snapshots))
			w.kill(lab.NodeB)
			w.cleanup(lab.NodeB)
			w.longer(3 << 20)
			w.restart(lab.NodeB)
			w.untilState(lab.NodeB, lane.Standby)
			w.orders(100)
			w.sameState()
			w.kill(lab.NodeA)
			w.untilState(lab.NodeB, lane.Active)
			w.orders(100)
			w.checkOnce()
		})
	}
}

// faultyConn ends after so many bytes, or turns a bit of one over.
type faultyConn struct {
	net.Conn
	left int
	flip bool
}

func (c *faultyConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.left -= n; c.left < 0 && n > 0 {
		if !c.flip {
			_ = c.Conn.Close()
			return 0, net.ErrClosed
		}
		b[n/2] ^= 4
	}
	return n, err
}

// While orders come, the standby's connections break, carry harmed bytes, and its
// process is killed half way: it starts again each time, from where it is, and is
// promotable only with all of it.
func TestCatchUpUnderFaultsAndLoad(t *testing.T) {
	for _, snapshots := range []bool{false, true} {
		t.Run(fmt.Sprintf("snapshots %t", snapshots), func(t *testing.T) {
			w := steady(t, streamed(t, setting{app: "gateway", extra: alone}, snapshots))
			w.kill(lab.NodeB)
			w.cleanup(lab.NodeB)
			w.longer(3 << 20)
			var dials atomic.Int32
			w.faulty = func(c net.Conn) net.Conn {
				n := dials.Add(1)
				if n > 6 {
					return c
				}
				return &faultyConn{Conn: c, left: 100<<10 + int(n)*150<<10, flip: n%2 == 0}
			}
			w.restart(lab.NodeB)
			kills := 0
			deadline := time.Now().Add(30 * time.Second)
			for steps := 0; w.word(lab.NodeB).State() != lane.Standby; steps++ {
				if time.Now().After(deadline) {
					t.Fatalf("no standby%s", w.describe())
				}
				if steps%20 == 0 && w.client.c.Room() > 0 {
					w.client.order()
				}
				w.step()
				a, b := w.nodes[lab.NodeA].lanes[0], w.nodes[lab.NodeB].lanes[0]
				if tail := b.mem.table.Tail; kills < 2 && tail > 0 && tail < a.mem.table.Tail && dials.Load() > int32(2*kills+1) {
					kills++
					w.kill(lab.NodeB)
					w.restart(lab.NodeB)
				}
			}
			t.Logf("%d connections, killed %d times", dials.Load(), kills)
			w.orders(100)
			w.sameState()
			w.giveLane(lab.NodeA, lab.NodeB)
			w.orders(100)
			w.checkOnce()
			w.sameState()
		})
	}
}
