package xdp

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"unsafe"

	asavie "github.com/asavie/xdp"
	"golang.org/x/sys/unix"
)

// rings are our own mappings of the four rings. asavie/xdp maps them too, but
// keeps its mappings private and reads them without atomics.
type rings struct {
	mapped [4][]byte
}

func (r *rings) unmap() {
	for i, m := range r.mapped {
		if m != nil {
			_ = unix.Munmap(m)
			r.mapped[i] = nil
		}
	}
}

// mapRings maps the rings of s.fd and points the hot structures into them.
func (s *Socket) mapRings(rxFrames, txFrames int) error {
	var off unix.XDPMmapOffsets
	if err := getsockopt(s.fd, unix.XDP_MMAP_OFFSETS, unsafe.Pointer(&off), unsafe.Sizeof(off)); err != nil {
		return refuse(ErrKernelTooOld, fmt.Sprintf("AF_XDP ring offsets: %v", err), "need_wakeup needs Linux 5.4 or newer")
	}
	const addrBytes, descBytes = unsafe.Sizeof(uint64(0)), unsafe.Sizeof(unix.XDPDesc{})
	maps := []struct {
		name    string
		pgoff   int64
		off     *unix.XDPRingOffset
		entries int
		size    uintptr
	}{
		{"fill", unix.XDP_UMEM_PGOFF_FILL_RING, &off.Fr, rxFrames, addrBytes},
		{"completion", unix.XDP_UMEM_PGOFF_COMPLETION_RING, &off.Cr, txFrames, addrBytes},
		{"rx", unix.XDP_PGOFF_RX_RING, &off.Rx, rxFrames, descBytes},
		{"tx", unix.XDP_PGOFF_TX_RING, &off.Tx, txFrames, descBytes},
	}
	for i, m := range maps {
		lengthBytes := int(m.off.Desc) + m.entries*int(m.size)
		b, err := unix.Mmap(s.fd, m.pgoff, lengthBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
		if err != nil {
			return fmt.Errorf("map AF_XDP %s ring: %w", m.name, err)
		}
		s.rings.mapped[i] = b
	}
	word := func(i int, at uint64) *uint32 { return (*uint32)(unsafe.Pointer(&s.rings.mapped[i][at])) }
	addrs := func(i int) []uint64 {
		return unsafe.Slice((*uint64)(unsafe.Pointer(&s.rings.mapped[i][maps[i].off.Desc])), maps[i].entries)
	}
	descs := func(i int) []unix.XDPDesc {
		return unsafe.Slice((*unix.XDPDesc)(unsafe.Pointer(&s.rings.mapped[i][maps[i].off.Desc])), maps[i].entries)
	}
	s.fill = fillRing{producer: word(0, off.Fr.Producer), flags: word(0, off.Fr.Flags), addr: addrs(0), mask: uint32(rxFrames - 1)}
	s.completion = completionRing{producer: word(1, off.Cr.Producer), consumer: word(1, off.Cr.Consumer), addr: addrs(1), mask: uint32(txFrames - 1)}
	s.rx = rxRing{producer: word(2, off.Rx.Producer), consumer: word(2, off.Rx.Consumer), desc: descs(2), mask: uint32(rxFrames - 1)}
	s.tx = txRing{producer: word(3, off.Tx.Producer), consumer: word(3, off.Tx.Consumer), flags: word(3, off.Tx.Flags), desc: descs(3), mask: uint32(txFrames - 1)}
	return nil
}

func getsockopt(fd, name int, p unsafe.Pointer, lengthBytes uintptr) error {
	length := uint32(lengthBytes)
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_XDP, uintptr(name), uintptr(p), uintptr(unsafe.Pointer(&length)), 0)
	if errno != 0 {
		return errno
	}
	if uintptr(length) < lengthBytes {
		return fmt.Errorf("%d bytes where %d were expected", length, lengthBytes)
	}
	return nil
}

func socketZeroCopy(fd int) (bool, error) {
	var flags uint32
	err := getsockopt(fd, unix.XDP_OPTIONS, unsafe.Pointer(&flags), unsafe.Sizeof(flags))
	return flags&unix.XDP_OPTIONS_ZEROCOPY != 0, err
}

func socketStatistics(fd int) (unix.XDPStatistics, error) {
	var st unix.XDPStatistics
	err := getsockopt(fd, unix.XDP_STATISTICS, unsafe.Pointer(&st), unsafe.Sizeof(st))
	return st, err
}

// CloseSocket closes an asavie socket and unmaps the rings it leaves mapped.
// A mapping holds the socket: without this its queue stays taken until the
// process ends.
func CloseSocket(sock *asavie.Socket) error {
	var st unix.Stat_t
	if err := unix.Fstat(sock.FD(), &st); err != nil {
		return errors.Join(fmt.Errorf("stat AF_XDP socket: %w", err), sock.Close())
	}
	err := sock.Close()
	mapped, mapErr := socketMappings()
	if mapErr != nil {
		return errors.Join(err, mapErr)
	}
	return errors.Join(err, munmapAll(mapped[st.Ino]))
}

type addressRange struct{ start, end uintptr }

// socketMappings lists what this process has mapped of sockets, by inode.
func socketMappings() (map[uint64][]addressRange, error) {
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	found := map[uint64][]addressRange{}
	for sc := bufio.NewScanner(f); sc.Scan(); {
		// start-end perms offset device inode socket:[inode] (proc_pid_maps(5))
		fields := strings.Fields(sc.Text())
		if len(fields) < 6 || !strings.HasPrefix(fields[5], "socket:[") {
			continue
		}
		from, to, _ := strings.Cut(fields[0], "-")
		start, err1 := strconv.ParseUint(from, 16, 64)
		end, err2 := strconv.ParseUint(to, 16, 64)
		inode, err3 := strconv.ParseUint(fields[4], 10, 64)
		if err := errors.Join(err1, err2, err3); err != nil {
			return nil, fmt.Errorf("read /proc/self/maps: %w", err)
		}
		found[inode] = append(found[inode], addressRange{uintptr(start), uintptr(end)})
	}
	return found, nil
}

// releaseNewMappings unmaps the sockets that are not in before. Only the
// holder of bindMu calls it, so what is new is the failed socket's.
func releaseNewMappings(before map[uint64][]addressRange) error {
	now, err := socketMappings()
	if err != nil {
		return err
	}
	for inode, ranges := range now {
		if _, old := before[inode]; !old {
			err = errors.Join(err, munmapAll(ranges))
		}
	}
	return err
}

func munmapAll(ranges []addressRange) error {
	var errs []error
	for _, r := range ranges {
		if _, _, errno := unix.Syscall(unix.SYS_MUNMAP, r.start, r.end-r.start, 0); errno != 0 {
			errs = append(errs, fmt.Errorf("unmap AF_XDP ring: %w", errno))
		}
	}
	return errors.Join(errs...)
}
