package control

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// askAs is the environment variable that makes this test program ask a socket, as
// whoever runs it.
const askAs = "ONEBEAT_TEST_ASK"

func TestMain(m *testing.M) {
	if path := os.Getenv(askAs); path != "" {
		if err := Call(path, Request{Cmd: CmdOrders}, nil, time.Second); err != nil {
			os.Stdout.WriteString(err.Error())
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// callAs asks as another user and returns what it was told.
func callAs(t *testing.T, uid uint32, path string) (text string, ok bool) {
	t.Helper()
	// The test program stands where only root reads.
	program := filepath.Join(filepath.Dir(path), "ask")
	b, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, b, 0o755); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(program)
	c.Env = []string{askAs + "=" + path}
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	out, err := c.CombinedOutput()
	return string(out), err == nil
}

// TestOnlyWhoIsListedIsServed: the kernel says who asks; the socket's mode lets
// everybody ask here.
func TestOnlyWhoIsListedIsServed(t *testing.T) {
	if testing.Short() {
		t.Skip("left out by -short: it asks as other users")
	}
	if os.Geteuid() != 0 {
		t.Fatal("needs root: it asks as other users")
	}
	dir, err := os.MkdirTemp("", "onebeat-access")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "n.sock")
	var strangers atomic.Uint64
	var refused, served atomic.Pointer[Peer]
	access := Access{UIDs: []uint32{4001}, Mode: 0o666, Count: &strangers, Refused: func(p Peer) { refused.Store(&p) }}
	s, err := Serve(path, access, func(ctx context.Context, _ Request) (any, error) {
		p, ok := PeerOf(ctx)
		if !ok {
			return nil, errors.New("nobody asks")
		}
		served.Store(&p)
		return nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if text, ok := callAs(t, 4001, path); !ok || served.Load() == nil || served.Load().UID != 4001 || !strings.HasPrefix(served.Load().Name(), "uid 4001") {
		t.Errorf("uid 4001, who is listed: %v, %q, %+v", ok, text, served.Load())
	}
	if text, ok := callAs(t, 4002, path); ok || !strings.Contains(text, "add the uid 4002 to [operator] uids") || strangers.Load() != 1 || refused.Load().UID != 4002 {
		t.Errorf("uid 4002, who is not: %v, %q, %d refused, %+v", ok, text, strangers.Load(), refused.Load())
	}
	if text, ok := callAs(t, 0, path); !ok || served.Load().UID != 0 {
		t.Errorf("root: %v, %q", ok, text)
	}
}
