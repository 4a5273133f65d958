package control

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Access says who may speak to a socket: root, the user that the program runs as,
// and who is listed. The kernel names who connects (SO_PEERCRED), so nobody can
// pretend; the file's mode only keeps others from trying.
type Access struct {
	UIDs []uint32
	Mode os.FileMode // of the socket; 0: 0600
	GID  int         // group of the socket; 0: the program's
	// Refused is told of everybody who was not let in; nil: nobody is.
	Refused func(Peer)
	// Count counts them; nil: nobody does.
	Count *atomic.Uint64
}

// Peer is who is at the other end of a socket, as the kernel says.
type Peer struct {
	UID, GID uint32
	PID      int32
}

// Name is who it is, for a log: the user's name, and in brackets the user who
// logged in, if that was another one (sudo, su).
func (p Peer) Name() string {
	name := userName(p.UID)
	// The kernel's audit keeps it for the life of a login; no login: 4294967295.
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/loginuid", p.PID)); err == nil {
		if login, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 32); err == nil && uint32(login) != p.UID && uint32(login) != ^uint32(0) {
			name += "(" + userName(uint32(login)) + ")"
		}
	}
	return name
}

func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return "uid " + id
}

// strangerTimeout is how long somebody who is not let in is listened to.
const strangerTimeout = time.Second

type peerKey struct{}

// PeerOf returns who asks; ok is false when nobody is known to.
func PeerOf(ctx context.Context) (p Peer, ok bool) {
	p, ok = ctx.Value(peerKey{}).(Peer)
	return p, ok
}

// peerOf asks the kernel who connected.
func peerOf(conn net.Conn) (Peer, error) {
	u, ok := conn.(*net.UnixConn)
	if !ok {
		return Peer{}, fmt.Errorf("%T has no credentials", conn)
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return Peer{}, err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return Peer{}, err
	}
	if credErr != nil {
		return Peer{}, fmt.Errorf("SO_PEERCRED: %w", credErr)
	}
	return Peer{UID: cred.Uid, GID: cred.Gid, PID: cred.Pid}, nil
}

// admits says whether a peer may speak.
func (a *Access) admits(p Peer) bool {
	return p.UID == 0 || p.UID == uint32(os.Geteuid()) || slices.Contains(a.UIDs, p.UID)
}

// own gives the socket file its mode and group.
func (a *Access) own(path string) error {
	if a.GID != 0 {
		if err := os.Chown(path, -1, a.GID); err != nil {
			return err
		}
	}
	mode := a.Mode
	if mode == 0 {
		mode = 0o600
	}
	return os.Chmod(path, mode)
}

// enter lets a peer in, or tells it why not.
func (s *Server) enter(ctx context.Context, conn net.Conn) (context.Context, bool) {
	p, err := peerOf(conn)
	if err == nil && s.access.admits(p) {
		return context.WithValue(ctx, peerKey{}, p), true
	}
	if s.access.Count != nil {
		s.access.Count.Add(1)
	}
	if s.access.Refused != nil {
		s.access.Refused(p)
	}
	text := fmt.Sprintf("user %s may not speak to this socket: use sudo, or add the uid %d to [operator] uids of the node's configuration", p.Name(), p.UID)
	if err != nil {
		text = "who you are is not known: " + err.Error()
	}
	// Its request is taken first: who still writes would not read why.
	_ = conn.SetDeadline(time.Now().Add(strangerTimeout))
	_, _ = conn.Read(make([]byte, maxRequest))
	_ = s.write(conn, Reply{Error: text})
	return nil, false
}
