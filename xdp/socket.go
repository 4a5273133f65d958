package xdp

import (
	"errors"
	"fmt"
	"math/bits"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	asavie "github.com/asavie/xdp"
	"golang.org/x/sys/unix"

	"onebeat/xdp/frame"
)

// ZeroCopy says whether a socket shares its memory with the NIC.
type ZeroCopy int

const (
	// ZeroCopyAuto takes zero-copy where the driver offers it, else copies.
	ZeroCopyAuto ZeroCopy = iota
	// ZeroCopyNever copies.
	ZeroCopyNever
	// ZeroCopyRequired refuses a driver that cannot.
	ZeroCopyRequired
)

const (
	// DefaultFrames is the default number of chunks for each direction. Small
	// on purpose: a killed process's XSKMAP slot empties only when its memory
	// is torn down, and that is part of the failover time.
	DefaultFrames = 512
	// DefaultFrameBytes is the default size of a chunk.
	DefaultFrameBytes = 2048

	// A queue whose last socket was just closed stays busy while the kernel
	// tears it down in the background: 24-58 ms measured, and beyond 500 ms where
	// the machine has no core to spare for that.
	rebindTimeout = 3 * time.Second
	rebindPause   = 5 * time.Millisecond
)

// Options describe an AF_XDP socket. Zero values mean the defaults.
type Options struct {
	Interface  string
	Queue      int
	RxFrames   int // power of two
	TxFrames   int // power of two
	FrameBytes int // 2048 or 4096
	ZeroCopy   ZeroCopy
	// VLAN is the tag of the frames that OpenEndpoint takes.
	VLAN frame.VLAN
}

// Socket is an AF_XDP socket bound to one queue. It is a Port.
type Socket struct {
	// hot
	fd         int
	umem       umem
	rx         rxRing
	fill       fillRing
	tx         txRing
	completion completionRing
	stats      PortStats

	// cold
	sock     *asavie.Socket
	rings    rings
	iface    Interface
	queue    int
	zeroCopy bool
	poll     [1]unix.PollFd
	closers  []func() error // what OpenEndpoint attached for this socket
}

var _ Port = (*Socket)(nil)

// bindMu guards asavie's package-level bind flags.
var bindMu sync.Mutex

// Open creates a socket and binds it to a queue. It receives nothing until a
// program redirects frames to it: put FD into an XSKMAP.
func Open(o Options) (*Socket, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	iface, err := Inspect(o.Interface)
	if err != nil {
		return nil, err
	}
	if err := iface.Check(Need{Queue: o.Queue}); err != nil {
		return nil, err
	}
	if err := CheckAddressFamily(); err != nil {
		return nil, err
	}
	s := &Socket{iface: iface, queue: o.Queue}
	if s.sock, err = bind(iface, &o); err != nil {
		return nil, err
	}
	s.fd = s.sock.FD()
	if err := s.mapMemory(&o); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.poll[0] = unix.PollFd{Fd: int32(s.fd), Events: unix.POLLIN}
	return s, nil
}

// BindSocket creates asavie's socket alone, for a baseline that runs on its own
// hot path. CloseSocket closes it.
func BindSocket(iface Interface, o Options) (*asavie.Socket, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	return bind(iface, &o)
}

func (o Options) withDefaults() Options {
	if o.RxFrames == 0 {
		o.RxFrames = DefaultFrames
	}
	if o.TxFrames == 0 {
		o.TxFrames = DefaultFrames
	}
	if o.FrameBytes == 0 {
		o.FrameBytes = DefaultFrameBytes
	}
	return o
}

func (o *Options) check() error {
	for _, f := range []struct {
		name  string
		count int
	}{{"rx", o.RxFrames}, {"tx", o.TxFrames}} {
		if f.count < 1 || f.count > 1<<16 || bits.OnesCount(uint(f.count)) != 1 {
			return fmt.Errorf("%s frames: %d is not a power of two of at most 65536", f.name, f.count)
		}
	}
	if o.FrameBytes != 2048 && o.FrameBytes != 4096 {
		return fmt.Errorf("frame bytes: %d, the kernel takes 2048 or 4096", o.FrameBytes)
	}
	return nil
}

// bind lets asavie/xdp create the socket. Zero-copy is tried first where the
// driver may have it; veth has none, and asking costs a queue restart.
func bind(iface Interface, o *Options) (*asavie.Socket, error) {
	mayZeroCopy := o.ZeroCopy == ZeroCopyRequired ||
		o.ZeroCopy == ZeroCopyAuto && iface.Driver != "veth" && iface.ZeroCopy
	if mayZeroCopy {
		sock, err := bindMode(iface.Index, o, unix.XDP_USE_NEED_WAKEUP|unix.XDP_ZEROCOPY)
		if err == nil {
			return sock, nil
		}
		if o.ZeroCopy == ZeroCopyRequired {
			return nil, refuse(ErrNoZeroCopy, fmt.Sprintf("interface %s (driver %s), queue %d: %v", iface.Name, iface.Driver, o.Queue, err),
				"use a NIC whose driver has AF_XDP zero-copy, or let the socket copy")
		}
	}
	sock, err := bindMode(iface.Index, o, unix.XDP_USE_NEED_WAKEUP|unix.XDP_COPY)
	if err != nil {
		return nil, explainBind(iface, o, err)
	}
	return sock, nil
}

func bindMode(ifindex int, o *Options, flags uint16) (*asavie.Socket, error) {
	options := &asavie.SocketOptions{
		NumFrames:              o.RxFrames + o.TxFrames,
		FrameSize:              o.FrameBytes,
		FillRingNumDescs:       o.RxFrames,
		CompletionRingNumDescs: o.TxFrames,
		RxRingNumDescs:         o.RxFrames,
		TxRingNumDescs:         o.TxFrames,
	}
	deadline := time.Now().Add(rebindTimeout)
	for {
		sock, err := bindOnce(ifindex, o.Queue, options, flags)
		if err == nil || !isErrno(err, unix.EBUSY) || time.Now().After(deadline) {
			return sock, err
		}
		time.Sleep(rebindPause)
	}
}

func bindOnce(ifindex, queue int, options *asavie.SocketOptions, flags uint16) (*asavie.Socket, error) {
	bindMu.Lock()
	defer bindMu.Unlock()
	before := asavie.DefaultSocketFlags
	defer func() { asavie.DefaultSocketFlags = before }()
	asavie.DefaultSocketFlags = flags
	// A failed NewSocket leaves its rings mapped, and with them the socket
	// alive. Its inode is one that was not there before.
	mapped, err := socketMappings()
	if err != nil {
		return nil, err
	}
	sock, err := asavie.NewSocket(ifindex, queue, options)
	if err != nil {
		return nil, errors.Join(err, releaseNewMappings(mapped))
	}
	return sock, nil
}

// isErrno looks for an errno in the text: asavie/xdp formats its errors with
// %v, which loses the value.
func isErrno(err error, errno unix.Errno) bool {
	return errors.Is(err, errno) || strings.Contains(err.Error(), errno.Error())
}

func explainBind(iface Interface, o *Options, err error) error {
	what := fmt.Sprintf("bind AF_XDP socket to %s queue %d: %v", iface.Name, o.Queue, err)
	switch {
	case isErrno(err, unix.EBUSY):
		return refuse(ErrQueueBusy, what, "stop the process that holds the queue (ss --xdp -p), or choose another queue")
	case isErrno(err, unix.EPERM), isErrno(err, unix.EACCES):
		return refuse(ErrNoPrivilege, what, "run as root or give the program CAP_NET_RAW and CAP_NET_ADMIN")
	case isErrno(err, unix.ENOBUFS), isErrno(err, unix.ENOMEM):
		return refuse(ErrNoMemory, what, "raise the memlock limit (ulimit -l unlimited) or use fewer frames")
	case isErrno(err, unix.EINVAL):
		return refuse(ErrKernelTooOld, what, "need_wakeup needs Linux 5.4 or newer")
	case isErrno(err, unix.ENETDOWN):
		return refuse(ErrInterfaceDown, what, "ip link set dev "+iface.Name+" up")
	}
	return errors.New(what)
}

// mapMemory takes the UMEM from asavie's socket, maps the rings and gives the
// kernel every receive chunk.
func (s *Socket) mapMemory(o *Options) error {
	totalBytes := (o.RxFrames + o.TxFrames) * o.FrameBytes
	s.umem = umem{
		memory:     s.sock.GetFrame(asavie.Desc{Addr: 0, Len: uint32(totalBytes)}),
		chunkBytes: uint64(o.FrameBytes),
		rxBytes:    uint64(o.RxFrames * o.FrameBytes),
	}
	if err := s.mapRings(o.RxFrames, o.TxFrames); err != nil {
		return err
	}
	s.completion.free = make([]uint64, o.TxFrames)
	for i := range o.TxFrames {
		// descending, so that the stack hands out the lowest first
		s.completion.free[i] = uint64(totalBytes - (i+1)*o.FrameBytes)
	}
	s.completion.freeCount = o.TxFrames
	for i := range o.RxFrames {
		s.fill.put(uint64(i * o.FrameBytes))
	}
	s.fill.publish()
	// One sendto(2) may send all that is queued instead of 32 frames. Only
	// recent kernels can be told; Kick goes round again on the others.
	_ = setTxBudget(s.fd, o.TxFrames)
	zeroCopy, err := socketZeroCopy(s.fd)
	if err != nil {
		return fmt.Errorf("read AF_XDP socket options: %w", err)
	}
	s.zeroCopy = zeroCopy
	return nil
}

// setTxBudget bounds the frames of one sendto(2) in copy mode; the kernel
// takes 32 up to the size of the tx ring.
func setTxBudget(fd, frames int) error {
	return unix.SetsockoptInt(fd, unix.SOL_XDP, unix.XDP_MAX_TX_SKB_BUDGET, frames)
}

// Interface returns what the socket is bound to, as it was found at Open.
func (s *Socket) Interface() Interface { return s.iface }

// Queue returns the queue the socket is bound to.
func (s *Socket) Queue() int { return s.queue }

// ZeroCopy says whether the NIC writes into the UMEM itself.
func (s *Socket) ZeroCopy() bool { return s.zeroCopy }

// FD implements Port.
func (s *Socket) FD() int { return s.fd }

// Wait implements Port. poll(2) also wakes a driver that sleeps on its rings.
func (s *Socket) Wait(timeoutNs int64) {
	if s.rx.seen != s.rx.next || atomic.LoadUint32(s.rx.producer) != s.rx.next {
		return
	}
	waitFDs(s.poll[:], timeoutNs)
}

// Stats implements Port. It asks the kernel for its share: not for every cycle.
func (s *Socket) Stats() PortStats {
	st := s.stats
	st.Received = s.rx.received
	st.Sent = s.tx.queued - uint64(s.tx.next-atomic.LoadUint32(s.tx.consumer))
	st.RxInvalid = s.rx.invalid
	st.TxInvalid = s.completion.invalid
	if k, err := socketStatistics(s.fd); err == nil {
		st.RxDropped = k.Rx_dropped
		st.RxRingFull = k.Rx_ring_full
		st.RxInvalid += k.Rx_invalid_descs
		st.TxInvalid += k.Tx_invalid_descs
		st.FillEmpty = k.Rx_fill_ring_empty_descs
	}
	return st
}

// Close implements Port: it detaches what OpenEndpoint attached, closes the
// socket and gives all memory back. The socket must not be used afterwards.
func (s *Socket) Close() error {
	if s.sock == nil {
		return nil
	}
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	s.rings.unmap()
	errs = append(errs, CloseSocket(s.sock))
	s.sock, s.fd, s.closers = nil, -1, nil
	s.umem.memory = nil
	return errors.Join(errs...)
}

// waitFDs is poll(2) with nanoseconds; negative means forever. An early return
// is harmless: the caller looks at its rings in any case.
func waitFDs(fds []unix.PollFd, timeoutNs int64) {
	if timeoutNs < 0 {
		_, _ = unix.Ppoll(fds, nil, nil)
		return
	}
	timeout := unix.NsecToTimespec(timeoutNs)
	_, _ = unix.Ppoll(fds, &timeout, nil)
}
