package pin

import (
	"encoding/binary"
	"fmt"
	"os"
)

// LatencyHold keeps all cores out of C-states whose wakeup takes longer than
// asked, for as long as it is open (Documentation/power/pm_qos_interface.rst).
type LatencyHold struct {
	file *os.File
}

// HoldLatency asks for wakeups within latencyUs microseconds; 0 keeps the
// cores from sleeping at all.
func (h Host) HoldLatency(latencyUs int32) (*LatencyHold, error) {
	const path = "/dev/cpu_dma_latency"
	f, err := os.OpenFile(h.path(path), os.O_WRONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("hold C-state latency: %w; remedy: run as root on a kernel with CONFIG_PM, or boot with processor.max_cstate=1 idle=poll", err)
	}
	l := &LatencyHold{file: f}
	if err := l.Ask(latencyUs); err != nil {
		f.Close()
		return nil, err
	}
	return l, nil
}

// Ask asks for other wakeups than before.
func (l *LatencyHold) Ask(latencyUs int32) error {
	var request [4]byte
	binary.NativeEndian.PutUint32(request[:], uint32(latencyUs))
	if _, err := l.file.WriteAt(request[:], 0); err != nil {
		return fmt.Errorf("hold C-state latency: %w", err)
	}
	return nil
}

// Release lets the cores sleep again.
func (l *LatencyHold) Release() error { return l.file.Close() }
