package porttest

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// Hold returns a TCP port of loopback that the kernel chose, and keeps it from
// everybody whose port the kernel chooses until the test ends: a bound socket
// that never listens. Who asks for that port by number, with SO_REUSEADDR as Go
// does, gets it all the same (inet_csk_bind_conflict in
// net/ipv4/inet_connection_sock.c), any number of times. To listen, close and
// use the number later is a race with every other test on the host.
func Hold(t testing.TB) netip.AddrPort {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Close(fd); err != nil {
			t.Error(err)
		}
	})
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		t.Fatal(err)
	}
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: loopback.As4()}); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return netip.AddrPortFrom(loopback, uint16(name.(*unix.SockaddrInet4).Port))
}
