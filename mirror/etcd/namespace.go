package etcd

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// namespace is the network namespace that connections are made in: gRPC makes
// them on goroutines of its own, on any thread.
type namespace struct {
	file  *os.File
	inode uint64
}

const threadNamespace = "/proc/thread-self/ns/net"

// presentNamespace is the calling thread's.
func presentNamespace() (*namespace, error) {
	f, err := os.Open(threadNamespace)
	if err != nil {
		return nil, fmt.Errorf("network namespace: %w", err)
	}
	inode, err := inodeOf(threadNamespace)
	return &namespace{f, inode}, err
}

func inodeOf(path string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, fmt.Errorf("network namespace: %w", err)
	}
	return st.Ino, nil
}

func (n *namespace) close() error { return n.file.Close() }

// dial connects from the namespace.
func (n *namespace) dial(ctx context.Context, address string) (net.Conn, error) {
	runtime.LockOSThread()
	here, err := inodeOf(threadNamespace)
	if err != nil || here == n.inode {
		runtime.UnlockOSThread()
		return (&net.Dialer{}).DialContext(ctx, "tcp", address)
	}
	back, err := os.Open(threadNamespace)
	if err != nil {
		runtime.UnlockOSThread()
		return nil, err
	}
	defer back.Close()
	if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("enter network namespace: %w", err)
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if unix.Setns(int(back.Fd()), unix.CLONE_NEWNET) == nil {
		runtime.UnlockOSThread()
	} // else the thread stays locked and dies with its goroutine
	return conn, err
}
