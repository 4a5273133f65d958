package xdp

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// ethtoolChannels is struct ethtool_channels (linux/ethtool.h).
type ethtoolChannels struct {
	cmd                                         uint32
	maxRx, maxTx, maxOther, maxCombined         uint32
	rxCount, txCount, otherCount, combinedCount uint32
}

// ifreq is struct ifreq with a pointer for its union.
type ifreq struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [16]byte
}

// askEthtool replaces what netlink says (queues allocated, kind of link) by
// what the driver says (queues in use, its name). Drivers may decline.
func (i *Interface) askEthtool() {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	if info, err := unix.IoctlGetEthtoolDrvinfo(fd, i.Name); err == nil {
		i.Driver = unix.ByteSliceToString(info.Driver[:])
	}
	channels := ethtoolChannels{cmd: unix.ETHTOOL_GCHANNELS}
	req := ifreq{data: unsafe.Pointer(&channels)}
	copy(req.name[:unix.IFNAMSIZ-1], i.Name)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&req)))
	if errno != 0 {
		return
	}
	if rx := int(channels.rxCount + channels.combinedCount); rx > 0 {
		i.RxQueues = rx
	}
	if tx := int(channels.txCount + channels.combinedCount); tx > 0 {
		i.TxQueues = tx
	}
}
