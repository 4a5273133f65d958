package lab

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Commands of include/uapi/linux/ethtool.h that x/sys does not name.
const (
	ethtoolSetTxSum = 0x17 // ETHTOOL_STXCSUM
	ethtoolGetFlags = 0x25 // ETHTOOL_GFLAGS
	ethtoolSetFlags = 0x26 // ETHTOOL_SFLAGS
	ethtoolSetGRO   = 0x2c // ETHTOOL_SGRO
	flagTxVLAN      = 1 << 7
)

// ethtoolValue is struct ethtool_value.
type ethtoolValue struct{ command, data uint32 }

// ifreqData is struct ifreq with its pointer member, padded to the union's
// size.
type ifreqData struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [24 - unsafe.Sizeof(uintptr(0))]byte
}

// ethtool performs one command on an interface of the thread's namespace.
func ethtool(nic string, v *ethtoolValue) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request := ifreqData{data: unsafe.Pointer(v)}
	copy(request.name[:unix.IFNAMSIZ-1], nic)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
	runtime.KeepAlive(v)
	if errno != 0 {
		return errno
	}
	return nil
}

func setGRO(nic string, on bool) error {
	v := ethtoolValue{command: ethtoolSetGRO}
	if on {
		v.data = 1
	}
	if err := ethtool(nic, &v); err != nil {
		return fmt.Errorf("switch GRO of %s: %w", nic, err)
	}
	return nil
}

// sumByHand makes the kernel complete checksums before frames leave: a veth
// leaves that to a NIC, and a frame that XDP redirects meets none.
func sumByHand(nic string) error {
	if err := ethtool(nic, &ethtoolValue{command: ethtoolSetTxSum}); err != nil {
		return fmt.Errorf("switch checksum offload of %s off: %w", nic, err)
	}
	return nil
}

func clearTxVLAN(nic string) error {
	v := ethtoolValue{command: ethtoolGetFlags}
	if err := ethtool(nic, &v); err != nil {
		return fmt.Errorf("read flags of %s: %w", nic, err)
	}
	v.command, v.data = ethtoolSetFlags, v.data&^flagTxVLAN
	if err := ethtool(nic, &v); err != nil {
		return fmt.Errorf("switch txvlan of %s off: %w", nic, err)
	}
	return nil
}
