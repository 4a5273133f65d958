package steps

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Count is what the pieces of a child took.
type Count struct {
	// Pieces has the instructions of each piece, in their order.
	Pieces []int `json:"pieces"`
	// Where has them by function, of the cheapest piece; inlined ones count for
	// themselves.
	Where []Function `json:"where"`
}

// Function is a share of a piece.
type Function struct {
	Name         string `json:"name"`
	Instructions int    `json:"instructions"`
}

// Least is the cheapest piece: the runtime interrupts a piece now and then, and
// nothing makes one cheaper.
func (c *Count) Least() int { return slices.Min(c.Pieces) }

// ErrNotCounted is wrapped by every failure to count.
var ErrNotCounted = errors.New("instructions were not counted")

// pieceMax ends a piece without an end.
const pieceMax = 5_000_000

// Child runs a command, which must be this same executable, and counts its pieces
// until it ends. Its environment keeps the scheduler from interrupting a piece.
func Child(ctx context.Context, cmd *exec.Cmd) (*Count, error) {
	// Every ptrace request must come from the thread that attached.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.Env = append(cmd.Environ(), "GODEBUG=asyncpreemptoff=1", "GOGC=off")
	var said strings.Builder
	cmd.Stderr = &said
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotCounted, err)
	}
	// Not CommandContext: who waits for a thread that is traced waits for its
	// process too.
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(os.Kill) })
	defer stop()
	lines := bufio.NewReader(out)
	s := stepper{names: map[uint64]string{}}
	err = s.attend(lines, in)
	if err != nil {
		_ = cmd.Process.Signal(os.Kill)
	}
	_, _ = io.Copy(io.Discard, lines)
	ended := cmd.Wait()
	if s.ended != nil && errors.Is(ended, unix.ECHILD) {
		// Its first thread was the one that was waited for here.
		if ended = nil; s.ended.Signaled() || s.ended.ExitStatus() != 0 {
			ended = fmt.Errorf("the process ended with status %d", s.ended.ExitStatus())
		}
	}
	err = errors.Join(err, ended, ctx.Err())
	switch {
	case err == nil && len(s.count.Pieces) == 0:
		err = errors.New("the process ended without a piece")
	case err == nil:
		return &s.count, nil
	}
	return nil, fmt.Errorf("%w: %w: %s", ErrNotCounted, err, strings.TrimSpace(said.String()))
}

// stepper drives one thread.
type stepper struct {
	thread int
	count  Count
	at     map[uint64]int // of the present piece: instructions by address
	names  map[uint64]string
	// preempted: the scheduler took the goroutine off its thread, because stepping
	// takes it longer than its slice. None of that is the piece's.
	preempted bool
	ended     *unix.WaitStatus // how the thread ended; nil: it did not, or somebody else was told
}

// attend attaches to the child's thread and counts until it is gone.
func (s *stepper) attend(out *bufio.Reader, in io.WriteCloser) error {
	line, err := out.ReadString('\n')
	if err != nil {
		return fmt.Errorf("the child said nothing: %w", err)
	}
	if s.thread, err = strconv.Atoi(strings.TrimSpace(line)); err != nil {
		return fmt.Errorf("not a thread: %q", line)
	}
	if err := unix.PtraceAttach(s.thread); err != nil {
		return fmt.Errorf("attach: %w", err)
	}
	if _, err := s.wait(); err != nil {
		return err
	}
	if _, err := in.Write([]byte("\n")); err != nil {
		return err
	}
	return s.run()
}

// wait returns the signal that the thread stopped with; 0: it is gone.
func (s *stepper) wait() (unix.Signal, error) {
	for {
		var status unix.WaitStatus
		_, err := unix.Wait4(s.thread, &status, unix.WALL, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.ECHILD):
			return 0, nil // the process ended, and another thread of ours was told
		case err != nil:
			return 0, fmt.Errorf("wait for the thread: %w", err)
		case status.Exited() || status.Signaled():
			s.ended = &status
			return 0, nil
		case status.Stopped():
			return status.StopSignal(), nil
		}
	}
}

// run lets the thread run to its end and steps through its pieces.
func (s *stepper) run() error {
	pass := 0 // the signal to be delivered
	for {
		if err := unix.PtraceCont(s.thread, pass); err != nil {
			return gone(err)
		}
		sig, err := s.wait()
		if sig == 0 || err != nil {
			return err
		}
		if pass = 0; sig != unix.SIGTRAP {
			if sig != unix.SIGSTOP {
				pass = int(sig)
			}
			continue
		}
		if over, err := s.piece(); over || err != nil {
			return err
		}
	}
}

// piece steps from one trap to the next; over: the thread is gone.
func (s *stepper) piece() (over bool, err error) {
	var regs unix.PtraceRegs
	if err := unix.PtraceGetRegs(s.thread, &regs); err != nil {
		return true, gone(err)
	}
	trap := regs.Rip // behind the instruction that traps
	s.at, s.preempted = map[uint64]int{}, false
	for n := 0; n < pieceMax; n++ {
		if err := unix.PtraceSingleStep(s.thread); err != nil {
			return true, gone(err)
		}
		sig, err := s.wait()
		if sig == 0 || err != nil {
			return true, err
		}
		from := regs.Rip
		if err := unix.PtraceGetRegs(s.thread, &regs); err != nil {
			return true, gone(err)
		}
		if sig == unix.SIGTRAP && regs.Rip == trap && n > 0 {
			s.done()
			return false, nil
		}
		s.step(from)
	}
	return true, fmt.Errorf("a piece of more than %d instructions", pieceMax)
}

// step counts the instruction at pc. Preemption begins in the check of the stack
// that a function begins with, and ends in that function.
func (s *stepper) step(pc uint64) {
	name := s.name(pc)
	switch {
	case strings.HasPrefix(name, "runtime.morestack"):
		s.preempted = true
	case s.preempted && name != outside && name != "gogo" && !strings.HasPrefix(name, "runtime.") && !strings.HasPrefix(name, "internal/runtime/"):
		s.preempted = false
	}
	if !s.preempted {
		s.at[pc]++
	}
}

// outside is the name of what no function of the program is: the kernel's vDSO.
const outside = "outside of the program"

// name returns the function at pc: this is the same executable, loaded at the same
// place.
func (s *stepper) name(pc uint64) string {
	name, ok := s.names[pc]
	if !ok {
		// Frames takes return addresses, and looks at what stands before them.
		f, _ := runtime.CallersFrames([]uintptr{uintptr(pc) + 1}).Next()
		if name = f.Function; name == "" {
			name = outside
		}
		s.names[pc] = name
	}
	return name
}

// done notes a piece.
func (s *stepper) done() {
	total := 0
	for _, n := range s.at {
		total += n
	}
	if len(s.count.Pieces) == 0 || total < s.count.Least() {
		s.count.Where = s.functions()
	}
	s.count.Pieces = append(s.count.Pieces, total)
}

// functions sums the present piece by function.
func (s *stepper) functions() []Function {
	sums := map[string]int{}
	for pc, n := range s.at {
		sums[s.name(pc)] += n
	}
	list := make([]Function, 0, len(sums))
	for name, n := range sums {
		list = append(list, Function{name, n})
	}
	slices.SortFunc(list, func(a, b Function) int {
		if a.Instructions != b.Instructions {
			return b.Instructions - a.Instructions
		}
		return strings.Compare(a.Name, b.Name)
	})
	return list
}

// gone is nil for a thread that has ended meanwhile.
func gone(err error) error {
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}
