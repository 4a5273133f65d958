package drill

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// wallClock is the wall clock of one process alone. No namespace has it, and
// stepping the machine's would hit everybody: so the process's private copy of
// the vDSO gets a clock_gettime that asks the kernel and adds to the seconds of
// CLOCK_REALTIME. Its other clocks stay what they are, as they do when a host's
// time of day is set.
type wallClock struct {
	mem    string // of the process
	offset int64  // where the stub's addend is
}

// clockStub is clock_gettime(clock in edi, result in rsi):
//
//	mov  eax, 228        ; SYS_clock_gettime
//	syscall
//	test edi, edi        ; CLOCK_REALTIME is 0
//	jne  done
//	mov  rcx, [rip+addend]
//	add  [rsi], rcx
//	done: ret
var clockStub = []byte{
	0xb8, 0xe4, 0x00, 0x00, 0x00,
	0x0f, 0x05,
	0x85, 0xff,
	0x75, 0x0a,
	0x48, 0x8b, 0x0d, 0x04, 0x00, 0x00, 0x00,
	0x48, 0x01, 0x0e,
	0xc3,
}

// addendAt is where the addend lies behind the stub's begin.
const addendAt = 22

// takeWallClock puts the stub into a process.
func takeWallClock(pid int) (*wallClock, error) {
	begin, end, err := vdsoOf(pid)
	if err != nil {
		return nil, err
	}
	c := &wallClock{mem: fmt.Sprintf("/proc/%d/mem", pid)}
	image := make([]byte, end-begin)
	if err := c.access(func(f *os.File) error { _, err := f.ReadAt(image, begin); return err }); err != nil {
		return nil, fmt.Errorf("read the vDSO of process %d: %w", pid, err)
	}
	at, room, err := clockSymbol(image)
	if err != nil {
		return nil, err
	}
	if room < addendAt+8 {
		return nil, fmt.Errorf("clock_gettime of the vDSO has %d bytes: no room for another", room)
	}
	c.offset = begin + at + addendAt
	// In one piece, for the process runs on. A thread that is inside the first
	// bytes at this moment would crash, and the run would fail: they take a few
	// nanoseconds.
	stub := append(bytes.Clone(clockStub), make([]byte, 8)...)
	return c, c.access(func(f *os.File) error { _, err := f.WriteAt(stub, begin+at); return err })
}

func (c *wallClock) access(do func(*os.File) error) error {
	f, err := os.OpenFile(c.mem, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(do(f), f.Close())
}

// set says how far the process's wall clock is ahead of the machine's.
func (c *wallClock) set(ahead time.Duration) error {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(int64(ahead/time.Second)))
	return c.access(func(f *os.File) error { _, err := f.WriteAt(b[:], c.offset); return err })
}

// vdsoOf returns where a process has its vDSO.
func vdsoOf(pid int) (begin, end int64, err error) {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(maps)) {
		if strings.HasSuffix(strings.TrimSpace(line), "[vdso]") {
			_, err := fmt.Sscanf(line, "%x-%x", &begin, &end)
			return begin, end, err
		}
	}
	return 0, 0, fmt.Errorf("process %d has no vDSO: its wall clock cannot be set for it alone", pid)
}

// clockSymbol returns where clock_gettime lies in a vDSO's image, and its size.
func clockSymbol(image []byte) (at, sizeBytes int64, err error) {
	f, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		return 0, 0, fmt.Errorf("the vDSO: %w", err)
	}
	symbols, err := f.DynamicSymbols()
	if err != nil {
		return 0, 0, fmt.Errorf("the vDSO: %w", err)
	}
	for _, s := range symbols {
		if s.Name == "__vdso_clock_gettime" {
			return int64(s.Value), int64(s.Size), nil
		}
	}
	return 0, 0, errors.New("the vDSO has no __vdso_clock_gettime")
}
