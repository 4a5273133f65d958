package scene

import (
	"os"
	"path/filepath"
	"testing"

	"onebeat/bench/lab"
	"onebeat/tools/config"
)

// Every scene's files load, and agree with each other.
func TestScenesLoad(t *testing.T) {
	for _, c := range []struct {
		name     string
		topology lab.Topology
		lanes    []Lane
	}{
		{"one lane", lab.Switched, OneLane("", `queue = 0`)},
		{"book", lab.Switched, OneLane("book", "")},
		{"active-active", lab.Switched, ActiveActive("gateway", "")},
		{"n plus one", lab.NPlusOne, NPlusOne("gateway", `heartbeat = "20ms"`)},
		{"mixed", lab.NPlusOne, append(NPlusOne("book", ""), Lane{ID: 7, Primary: lab.NodeC, App: "gateway"})},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := &lab.Lab{Topology: c.topology, RunDir: t.TempDir(), PinDir: "/sys/fs/bpf/none"}
			s := Scene{Lab: l, Lanes: c.lanes, LoopLines: `idle = "yield"`, LogLevel: "debug"}
			if err := s.Write(); err != nil {
				t.Fatal(err)
			}
			files := map[string]*config.Config{}
			for _, place := range s.Places() {
				cfg, err := config.Load(ConfigPath(l, place))
				if err != nil {
					t.Fatal(err)
				}
				files[place] = cfg
			}
			for i := range c.lanes {
				checkLane(t, files, &c.lanes[i])
			}
		})
	}
}

func checkLane(t *testing.T, files map[string]*config.Config, l *Lane) {
	t.Helper()
	primary := files[l.Primary].Lane(l.ID)
	if !primary.First {
		t.Errorf("lane %d: nobody seeds it", l.ID)
	}
	for i := range primary.Venues {
		v := &primary.Venues[i]
		book := files[lab.Venue].Lane(l.ID)
		if book == nil || book.Address != v.Address || book.Port != v.Port || book.Sessions[0].ID != v.Session {
			t.Errorf("lane %d could not log in at its venue", l.ID)
		}
	}
	if l.Standby == "" {
		return
	}
	standby := files[l.Standby].Lane(l.ID)
	if standby.First || standby.Address != primary.Address || standby.Peer != lab.NodeNumber(l.Primary) || primary.Peer != lab.NodeNumber(l.Standby) {
		t.Errorf("lane %d: %+v and %+v are no pair", l.ID, primary, standby)
	}
	a, b := files[l.Primary].Link(primary.Peer), files[l.Standby].Link(standby.Peer)
	if a.PeerAddress != b.Address || b.PeerAddress != a.Address || a.Key != b.Key || !a.TwoPaths() || a.PeerOrderAddress != b.OrderAddress {
		t.Errorf("lane %d: no cable between %+v and %+v", l.ID, a, b)
	}
}

func TestNoCableIsRefused(t *testing.T) {
	l := &lab.Lab{Topology: lab.NPlusOne, RunDir: t.TempDir(), PinDir: "/sys/fs/bpf/none"}
	s := Scene{Lab: l, Lanes: ActiveActive("book", "")}
	if err := s.Write(); err == nil {
		t.Error("a lane between two nodes without a cable was written")
	}
	if left, _ := filepath.Glob(filepath.Join(l.RunDir, "*")); len(left) == 0 {
		t.Error("nothing was written at all")
	}
	if info, err := os.Stat(filepath.Join(l.RunDir, keyFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v, %v", info, err)
	}
}
