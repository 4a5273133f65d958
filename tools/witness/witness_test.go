package witness

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"onebeat/bench/lab/porttest"
	"onebeat/mirror/arbiter"
	"onebeat/mirror/etcd/member"
	"onebeat/mirror/lane"
	"onebeat/mirror/witness"
	"onebeat/tools/config"
	"onebeat/tools/control"
)

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// run starts a process and waits until its control socket answers.
func run(t *testing.T, socket string, f func(context.Context, *slog.Logger) error) (log *lockedBuffer, stop func()) {
	t.Helper()
	log = &lockedBuffer{}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx, slog.New(slog.NewTextHandler(log, nil))) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(10 * time.Second):
			t.Error("it does not stop")
		}
		if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("control socket: %v", err)
		}
	})
	t.Cleanup(stop)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		var s control.WitnessStatus
		err := control.Call(socket, control.Request{Cmd: control.CmdStatus}, &s, time.Second)
		if err == nil {
			return log, stop
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func status(t *testing.T, socket string) (s control.WitnessStatus) {
	t.Helper()
	if err := control.Call(socket, control.Request{Cmd: control.CmdStatus}, &s, time.Second); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestWitnessProcess(t *testing.T) {
	dir, key := t.TempDir(), [config.KeyBytes]byte{1}
	keyFile := filepath.Join(dir, "desk-1.key")
	if err := os.WriteFile(keyFile, []byte(hex.EncodeToString(key[:])), 0o600); err != nil {
		t.Fatal(err)
	}
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := udp.LocalAddr().(*net.UDPAddr).AddrPort()
	udp.Close()
	cfg, err := config.WitnessOfKeys(at.String(), []string{keyFile})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Witness.RunDir, cfg.Witness.LockMemory = dir, false
	socket := control.SocketPath(dir, "witness")
	log, stop := run(t, socket, func(ctx context.Context, l *slog.Logger) error { return Run(ctx, cfg, l) })

	var record arbiter.Record
	record = record.Alone(lane.Member{Node: 1, Incarnation: 0xab})
	seed := control.Request{Cmd: control.CmdSeed, Lane: 3, Record: record.String(), By: "alice: a test"}
	for _, c := range []struct {
		change func(*control.Request)
		want   string
	}{
		{func(r *control.Request) { r.By = "" }, "who seeds it"},
		{func(r *control.Request) { r.Record = "epoch one" }, "is not a record"},
		{func(r *control.Request) { r.Lane = 16 }, "lanes are numbered"},
		{func(r *control.Request) { r.Group = "desk-2" }, "no such group"},
		{func(r *control.Request) { r.Cmd = control.CmdPromote }, "a witness knows"},
	} {
		r := seed
		c.change(&r)
		if err := control.Call(socket, r, nil, time.Second); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", r, err, c.want)
		}
	}
	if err := control.Call(socket, seed, nil, time.Second); err != nil {
		t.Fatal(err)
	}
	s := status(t, socket)
	if g := s.Register("desk-1", 3); g == nil || g.Record != record.String() || len(s.Seeds) != 1 || s.Seeds[0].By != seed.By || s.Boot == "" {
		t.Fatalf("%+v", s)
	}

	// A node asks again and again for what it does not get: said once.
	c, err := witness.Dial(witness.Options{Witness: at, Key: key, Lane: 3, Node: 2, TimeoutNs: int64(100 * time.Millisecond)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	began := time.Now()
	swap := func(r arbiter.Request) (a arbiter.Answer) {
		nowNs := func() int64 { return int64(time.Since(began)) + 1 }
		c.Swap(r, nowNs())
		for ok := false; !ok; {
			if a, ok = c.Poll(nowNs()); time.Since(began) > 10*time.Second {
				t.Fatal("no answer")
			}
		}
		return a
	}
	own := lane.Member{Node: 2, Incarnation: 0xcd}
	wrong := record
	wrong.Epoch++
	for range 5 {
		if a := swap(arbiter.Request{Self: 2, Current: wrong, Next: wrong.Alone(own), Proof: arbiter.Silence}); a.Granted {
			t.Fatalf("%+v", a)
		}
	}
	if a := swap(arbiter.Request{Self: 2, Current: record, Next: record.Alone(own), Proof: arbiter.Operator}); !a.Granted {
		t.Fatalf("%+v", a)
	}
	for deadline := time.Now().Add(5 * time.Second); !strings.Contains(log.String(), "msg=changed") && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	text := log.String()
	if strings.Count(text, "msg=refused") != 1 || !strings.Contains(text, "left_out=4") || !strings.Contains(text, "proof=operator") ||
		!strings.Contains(text, "alice: a test") || strings.Contains(text, hex.EncodeToString(key[:])) {
		t.Errorf("log:\n%s", text)
	}
	if s := status(t, socket); s.Counters["granted"] != 1 || s.Counters["refused_changed"] != 5 {
		t.Errorf("%v", s.Counters)
	}
	stop()
}

func TestEtcdProcess(t *testing.T) {
	dir := t.TempDir()
	o := EtcdOptions{RunDir: dir, Options: member.Options{Name: "m1", DataDir: filepath.Join(dir, "data"),
		Client: porttest.Hold(t), Peer: porttest.Hold(t), LogLevel: "fatal"}}
	socket := control.SocketPath(dir, "m1")
	var boot string
	for range 2 { // the second time it finds its data
		_, stop := run(t, socket, func(ctx context.Context, l *slog.Logger) error { return RunEtcd(ctx, o, l) })
		s := status(t, socket)
		if s.Etcd == nil || s.Etcd.Leader == "0" || s.Etcd.Member != s.Etcd.Leader || boot != "" && s.Boot != boot {
			t.Errorf("%+v, boot was %s", s, boot)
		}
		boot = s.Boot
		if err := control.Call(socket, control.Request{Cmd: control.CmdSeed}, nil, time.Second); err == nil {
			t.Error("an etcd member took a seed")
		}
		stop()
	}
}
