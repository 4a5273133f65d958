package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func serve(t *testing.T) string {
	t.Helper()
	path := SocketPath(t.TempDir(), "n")
	s, err := Serve(path, Access{}, func(_ context.Context, r Request) (any, error) {
		switch r.Cmd {
		case CmdStatus:
			return Status{Name: "n", Lanes: []LaneStatus{{ID: 3, State: "ACTIVE", Epoch: 2}}}, nil
		case CmdOrders:
			return nil, nil
		}
		return nil, fmt.Errorf("command %q on lane %d is not known", r.Cmd, r.Lane)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(path); err == nil {
			t.Error("the socket is left")
		}
	})
	return path
}

func TestCall(t *testing.T) {
	path := serve(t)
	var s Status
	if err := Call(path, Request{Cmd: CmdStatus}, &s, time.Second); err != nil || s.Lane(3) == nil || s.Lane(3).Epoch != 2 || s.Lane(0) != nil {
		t.Errorf("status %+v, %v", s, err)
	}
	if err := Call(path, Request{Cmd: CmdOrders}, nil, time.Second); err != nil {
		t.Error(err)
	}
	err := Call(path, Request{Cmd: CmdPromote, Lane: 7}, nil, time.Second)
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "lane 7") {
		t.Errorf("got %v", err)
	}
}

func TestBadLinesAreAnswered(t *testing.T) {
	path := serve(t)
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, line := range []string{"hello\n", "[1]\n", "\n"} {
		if _, err := conn.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 1024)
		conn.SetDeadline(time.Now().Add(time.Second))
		n, err := conn.Read(b)
		if err != nil || !strings.Contains(string(b[:n]), "not a request") {
			t.Errorf("%q was answered %q, %v", line, b[:n], err)
		}
	}
	// A line without end is not read forever.
	conn.Write([]byte(strings.Repeat("x", maxRequest+1)))
	if _, err := conn.Read(make([]byte, 16)); err == nil {
		t.Error("an endless line was answered")
	}
}

func TestNobodyThere(t *testing.T) {
	err := Call(filepath.Join(t.TempDir(), "x.sock"), Request{Cmd: CmdStatus}, nil, time.Second)
	if !errors.Is(err, ErrNoNode) {
		t.Errorf("got %v", err)
	}
}

func TestSocketInUseIsRefused(t *testing.T) {
	if _, err := Serve(serve(t), Access{}, nil); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("got %v", err)
	}
}

func TestDeadSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "n.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	s, err := Serve(path, Access{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}
