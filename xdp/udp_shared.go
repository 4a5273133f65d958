package xdp

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// ListenUDPShared opens one port for several users, each with a socket of its
// own: the kernel gives a datagram to the user whose byte it carries at an
// offset in its payload. What carries nobody's byte goes to any of them.
func ListenUDPShared(ip netip.Addr, port uint16, at int, keys []byte) ([]*UDPSocket, error) {
	var sockets []*UDPSocket
	undo := func(err error) ([]*UDPSocket, error) {
		for _, u := range sockets {
			err = errors.Join(err, u.Close())
		}
		return nil, err
	}
	for range keys {
		u, err := newUDP(ip, len(keys) > 1, port)
		if err != nil {
			return undo(err)
		}
		sockets = append(sockets, u)
	}
	if len(sockets) < 2 {
		return sockets, nil
	}
	program := sortByByte(at, keys)
	err := unix.SetsockoptSockFprog(sockets[0].fds[0], unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF,
		&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
	if err != nil {
		return undo(fmt.Errorf("sort datagrams of UDP %s:%d: %w", ip, port, err))
	}
	return sockets, nil
}

// sortByByte is a classic BPF program that returns which socket of the group,
// in the order in which they were bound, takes a datagram; its offsets count
// from the payload on (reuseport_select_sock in net/core/sock_reuseport.c). A
// number that no socket has lets the kernel choose.
func sortByByte(at int, keys []byte) []unix.SockFilter {
	program := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: uint32(at)}}
	for i, key := range keys {
		program = append(program,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: uint32(key)},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: uint32(i)})
	}
	return append(program, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: uint32(len(keys))})
}
