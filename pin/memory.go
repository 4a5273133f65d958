package pin

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrMemoryLimit says that the memory may not be locked.
var ErrMemoryLimit = errors.New("memlock limit")

// RaiseMemoryLimit lifts RLIMIT_MEMLOCK as far as this process may: to no
// limit with CAP_SYS_RESOURCE, else to the hard limit. BPF maps (before 5.11)
// and UMEM count against it.
func RaiseMemoryLimit() error {
	unlimited := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	if unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unlimited) == nil {
		return nil
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
		return fmt.Errorf("read memlock limit: %w", err)
	}
	limit.Cur = limit.Max
	if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
		return fmt.Errorf("raise memlock limit: %w", err)
	}
	return nil
}

// LockMemory keeps what is resident, and what becomes so later, from being
// paged out. Pages are locked as they are touched (MCL_ONFAULT, Linux 4.4):
// locking all of it at once would make the Go heap's reservations resident.
func LockMemory() error {
	if err := RaiseMemoryLimit(); err != nil {
		return err
	}
	err := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOMEM) || errors.Is(err, unix.EAGAIN) {
		return fmt.Errorf("%w: lock memory: %v; remedy: run as root, give the program CAP_IPC_LOCK, or set LimitMEMLOCK=infinity (ulimit -l unlimited)",
			ErrMemoryLimit, err)
	}
	if err != nil {
		return fmt.Errorf("lock memory: %w", err)
	}
	return nil
}

// UnlockMemory undoes LockMemory.
func UnlockMemory() error {
	if err := unix.Munlockall(); err != nil {
		return fmt.Errorf("unlock memory: %w", err)
	}
	return nil
}

// hugepageBytes is the size of a huge page on amd64 and arm64 with small pages of 4 KiB.
const hugepageBytes = 2 << 20

// AskHugepages asks for huge pages in the part of untouched memory that they can cover:
// a table whose lines are looked up anywhere costs a walk of the page tables for almost
// every look otherwise, in a virtual machine one of two levels. Where the kernel has or
// gives none (transparent_hugepage=never) the memory is what it would be.
func AskHugepages(memory []byte) {
	from, to := hugepagesIn(memory)
	if from < to {
		_ = unix.Madvise(memory[from:to], unix.MADV_HUGEPAGE) // advice
	}
}

// Hugepages is what the machine has of 2 MiB pages.
type Hugepages struct {
	Total, Free int    // reserved for hugetlbfs
	Transparent string // "always", "madvise", "never" or "" without support
}

const hugepageDir = "/sys/kernel/mm/hugepages/hugepages-2048kB/"

// Hugepages reads what there is of huge pages.
func (h Host) Hugepages() (Hugepages, error) {
	var p Hugepages
	var errs []error
	number := func(name string) int {
		text, err := h.read(hugepageDir + name)
		if err != nil || text == "" {
			errs = append(errs, err)
			return 0
		}
		n, err := strconv.Atoi(text)
		errs = append(errs, err)
		return n
	}
	p.Total, p.Free = number("nr_hugepages"), number("free_hugepages")
	mode, err := h.read("/sys/kernel/mm/transparent_hugepage/enabled")
	errs = append(errs, err)
	// the chosen one is in brackets: "always [madvise] never"
	if _, rest, ok := strings.Cut(mode, "["); ok {
		p.Transparent, _, _ = strings.Cut(rest, "]")
	}
	if err := errors.Join(errs...); err != nil {
		return Hugepages{}, fmt.Errorf("read huge pages: %w", err)
	}
	return p, nil
}
