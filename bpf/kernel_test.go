package bpf

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"onebeat/mirror/lane"
	"onebeat/mirror/wire"
)

// pinDir returns a directory on a bpffs that no other run uses, mounting a
// bpffs of its own where the machine has none.
func pinDir(t *testing.T) string {
	t.Helper()
	needRoot(t)
	root := "/sys/fs/bpf"
	var fs unix.Statfs_t
	if err := unix.Statfs(root, &fs); err != nil || fs.Type != unix.BPF_FS_MAGIC {
		root = t.TempDir()
		if err := unix.Mount("bpf", root, "bpf", 0, ""); err != nil {
			t.Fatalf("mount a bpffs: %v", err)
		}
		t.Cleanup(func() {
			if err := unix.Unmount(root, 0); err != nil {
				t.Error(err)
			}
		})
	}
	dir := filepath.Join(root, fmt.Sprintf("onebeat-test-%d-%s", os.Getpid(), strings.ReplaceAll(t.Name(), "/", "-")))
	t.Cleanup(func() {
		if err := Cleanup(dir); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", dir, err)
		}
	})
	return dir
}

func load(t *testing.T, dir string, ringBytes uint64) *Kernel {
	t.Helper()
	k, err := Load(Options{Dir: dir, RingBytes: ringBytes, LinkPort: linkPort})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func closeKernel(t *testing.T, k *Kernel) {
	t.Helper()
	if err := k.Close(); err != nil {
		t.Error(err)
	}
}

func openRing(t *testing.T, k *Kernel, n int) (mem []byte, created bool) {
	t.Helper()
	mem, created, err := k.OpenRing(n)
	if err != nil {
		t.Fatal(err)
	}
	return mem, created
}

// A restarted process finds rings, positions, words and counters as they were.
func TestRestartAdopts(t *testing.T) {
	dir := pinDir(t)
	k := load(t, dir, ringBytes)
	if k.Adopted {
		t.Error("the first load adopted")
	}
	mem, created := openRing(t, k, laneID)
	if !created || len(mem) != ringBytes+RingSlackBytes {
		t.Errorf("ring of %d bytes, created %v", len(mem), created)
	}
	if again, created := openRing(t, k, laneID); created || &again[0] != &mem[0] {
		t.Error("a second open is another ring")
	}
	copy(mem, "what the standby holds")
	lane.At(k.Lane(laneID)).Tail = 640
	word := lane.MakeWord(9, lane.Standby)
	*lane.WordAt(k.Authority(laneID)) = uint64(word)
	f := linkHeaders(wire.HeaderBytes) // all zero: no magic
	if _, _, err := k.Link.Test(f); err != nil {
		t.Fatal(err)
	}
	closeKernel(t, k)

	k = load(t, dir, ringBytes)
	defer closeKernel(t, k)
	if !k.Adopted {
		t.Error("the second load did not adopt")
	}
	mem, created = openRing(t, k, laneID)
	if created || !strings.HasPrefix(string(mem), "what the standby holds") {
		t.Error("the ring is another")
	}
	if got := lane.At(k.Lane(laneID)).Tail; got != 640 {
		t.Errorf("tail %d", got)
	}
	if got := lane.Load(lane.WordAt(k.Authority(laneID))); got != word {
		t.Errorf("authority %v", got)
	}
	if _, _, err := k.Link.Test(f); err != nil {
		t.Fatal(err)
	}
	sums, err := k.Reasons()
	if err != nil || sums["link_magic"] != 2 {
		t.Errorf("counted %d before and after, %v", sums["link_magic"], err)
	}
	if _, created := openRing(t, k, laneID+1); !created {
		t.Error("a ring from nowhere")
	}
}

// Both processes of a restart see the same memory while they overlap.
func TestOldAndNewShare(t *testing.T) {
	dir := pinDir(t)
	old := load(t, dir, ringBytes)
	defer closeKernel(t, old)
	before, _ := openRing(t, old, 0)
	young := load(t, dir, ringBytes)
	defer closeKernel(t, young)
	after, _ := openRing(t, young, 0)
	before[77], old.Lane(0)[256], old.Authority(0)[4] = 1, 2, 3
	if after[77] != 1 || young.Lane(0)[256] != 2 || young.Authority(0)[4] != 3 {
		t.Error("not the same memory")
	}
}

func TestOtherRingSizeIsRefused(t *testing.T) {
	for _, size := range []uint64{ringBytes / 2, ringBytes * 4} {
		dir := pinDir(t)
		k := load(t, dir, ringBytes)
		openRing(t, k, 2)
		closeKernel(t, k)
		k, err := Load(Options{Dir: dir, RingBytes: size, LinkPort: linkPort})
		if err == nil {
			closeKernel(t, k)
		}
		if !errors.Is(err, ErrIncompatible) {
			t.Fatalf("ring_size %d: %v", size, err)
		}
		for _, part := range []string{dir, "ring 2", fmt.Sprint(ringBytes), fmt.Sprint(size), "--cleanup"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q does not say %q", err, part)
			}
		}
		k = load(t, dir, ringBytes) // set back
		if !k.Adopted {
			t.Error("the refusal cost the old maps")
		}
		closeKernel(t, k)
		if err := Cleanup(dir); err != nil {
			t.Fatal(err)
		}
	}
}

// Before there was any ring, the size is free to change.
func TestOtherRingSizeBeforeTheFirstRing(t *testing.T) {
	dir := pinDir(t)
	for _, size := range []uint64{ringBytes, ringBytes * 4, ringBytes / 2} {
		k := load(t, dir, size)
		openRing(t, k, 0)
		closeKernel(t, k)
		if err := os.Remove(filepath.Join(dir, "ring_0")); err != nil {
			t.Fatal(err)
		}
	}
}

// Half of a set of pins is no set: the rest goes, rings too, since their words
// are lost.
func TestMissingPinReplacesAll(t *testing.T) {
	for _, name := range shared {
		t.Run(name, func(t *testing.T) {
			dir := pinDir(t)
			k := load(t, dir, ringBytes)
			mem, _ := openRing(t, k, laneID)
			mem[0] = 1
			*lane.WordAt(k.Authority(laneID)) = 5
			closeKernel(t, k)
			before, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(filepath.Join(dir, "map_"+name)); err != nil {
				t.Fatal(err)
			}
			k = load(t, dir, ringBytes)
			defer closeKernel(t, k)
			mem, created := openRing(t, k, laneID)
			if k.Adopted || !created || mem[0] != 0 || *lane.WordAt(k.Authority(laneID)) != 0 {
				t.Errorf("adopted %v, ring created %v, word %d", k.Adopted, created, *lane.WordAt(k.Authority(laneID)))
			}
			if after, err := os.ReadDir(dir); err != nil || len(after) != len(before) {
				t.Errorf("%d pins before, %d after, %v", len(before), len(after), err)
			}
		})
	}
}

func TestBadOptions(t *testing.T) {
	needRoot(t)
	for _, size := range []uint64{0, 3, ringBytes + 1} {
		if k, err := Load(Options{RingBytes: size}); err == nil {
			closeKernel(t, k)
			t.Errorf("a ring of %d bytes", size)
		}
	}
	k, err := Load(Options{RingBytes: ringBytes, Dir: t.TempDir()})
	if err == nil {
		closeKernel(t, k)
	}
	if !errors.Is(err, ErrNoBPFFS) || !strings.Contains(err.Error(), "mount") {
		t.Errorf("pins on an ordinary filesystem: %v", err)
	}
}

func TestCleanupOfNothing(t *testing.T) {
	if err := Cleanup(filepath.Join(t.TempDir(), "none")); err != nil {
		t.Error(err)
	}
}

// Load and Close, with success or without, give back every descriptor.
func TestCloseLeaksNothing(t *testing.T) {
	dir := pinDir(t)
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	cycle := func() {
		k := load(t, dir, ringBytes)
		openRing(t, k, 0)
		openRing(t, k, 5)
		if _, err := k.Reasons(); err != nil {
			t.Fatal(err)
		}
		closeKernel(t, k)
		if k, err := Load(Options{Dir: dir, RingBytes: ringBytes * 2}); err == nil {
			closeKernel(t, k)
			t.Fatal("another ring size was taken")
		}
	}
	cycle() // descriptors the runtime and the library keep for good
	before := count()
	for range 3 {
		cycle()
	}
	if after := count(); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}
