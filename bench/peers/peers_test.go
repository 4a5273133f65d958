package peers

import (
	"errors"
	"testing"
)

func build(t *testing.T) *Program {
	t.Helper()
	p, err := Build()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Remove(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func TestEveryPeerAnswers(t *testing.T) {
	program := build(t)
	c := newCable(t)
	datagram := c.datagram(64)
	for _, peer := range []Peer{NewCEcho(program), &Own{}, &Asavie{}, &GoUDP{}, NewCUDP(program)} {
		t.Run(peer.Name(), func(t *testing.T) {
			for range 2 { // a peer can be started again
				c.in(1, func() { c.must(peer.Start(env(1))) })
				var r Result
				var err error
				c.in(0, func() { r, err = program.Ping(env(0), datagram, 100, 1000) })
				if err := peer.Stop(); err != nil {
					t.Error(err)
				}
				if err != nil || r.Count != 1000 || r.Lost != 0 || r.P50Ns <= 0 || r.MaxNs < r.P999Ns || r.P999Ns < r.P50Ns {
					t.Fatalf("%+v, %v", r, err)
				}
				t.Logf("%+v", r)
			}
			if err := peer.Stop(); err != nil {
				t.Errorf("stopped twice: %v", err)
			}
		})
	}
}

func TestPeerErrors(t *testing.T) {
	program := build(t)
	c := newCable(t)
	for _, peer := range []Peer{NewCEcho(program), &Own{}, &Asavie{}} {
		for _, bad := range []Env{
			{Interface: "pr9", IP: ips[1], Port: serverPort, Core: -1},
			{Interface: names[1], Queue: 7, IP: ips[1], Port: serverPort, Core: -1},
			{Interface: names[1], IP: ips[1], Port: serverPort, Core: 4000},
		} {
			c.in(1, func() {
				if err := peer.Start(bad); err == nil {
					t.Errorf("%s: %+v accepted", peer.Name(), bad)
				}
			})
		}
	}
}

func TestBuildWithoutCompiler(t *testing.T) {
	t.Setenv("PATH", "")
	if _, err := Build(); !errors.Is(err, ErrNoCompiler) {
		t.Fatalf("no compiler: %v", err)
	}
	t.Setenv("CC", "/nonexistent")
	if _, err := Build(); !errors.Is(err, ErrNoCompiler) {
		t.Fatalf("bad CC: %v", err)
	}
}
