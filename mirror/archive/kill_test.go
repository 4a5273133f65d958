package archive

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"onebeat/engine/app"
	"onebeat/mirror/disk"
	"onebeat/mirror/ring"
)

// TestMain is also the process that TestKilled kills.
func TestMain(m *testing.M) {
	if dir := os.Getenv("ARCHIVE_VICTIM"); dir != "" {
		if err := victim(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// victimRecord is the length of a victim's records: their number follows from
// their position, and none crosses the ring's end.
const victimRecord = 128

// victim writes records until it is killed; now and then it compresses, and cuts.
func victim(dir string) error {
	seed, err := strconv.ParseUint(os.Getenv("ARCHIVE_SEED"), 10, 64)
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(seed, 5))
	o := Options{Dir: dir, SegmentBytes: MinSegmentBytes, Sync: Sync(seed % 3), Direct: seed%2 == 0, Compress: true,
		Wall: func() int64 { return 1 }, Note: func(n Note) { fmt.Println(n) }}
	w, err := Open(o)
	if err != nil {
		return err
	}
	fmt.Println("open") // the parent's clock starts here
	if rng.IntN(3) == 0 && w.End() > victimRecord {
		if err := w.Cut(uint64(1+rng.IntN(int(w.End()/victimRecord-1))) * victimRecord); err != nil {
			return err
		}
	}
	var tail uint64
	r, err := ring.New(make([]byte, bedRing+ring.SlackBytes), bedRing, &tail)
	if err != nil {
		return err
	}
	payload := make([]byte, victimRecord-ring.HeaderBytes)
	var batch []byte
	never := func() bool { return false }
	for now := int64(0); ; now++ {
		batch = batch[:0]
		for range 1 + rng.IntN(200) {
			at := w.End() + uint64(len(batch))
			n := at / victimRecord
			binary.LittleEndian.PutUint64(payload, n)
			atomic.StoreUint64(&tail, at)
			from, end, ok := r.Append(app.RecordMessage, 1, int64(n), payload)
			if !ok || from != at {
				return fmt.Errorf("a record for %d was put at %d", at, from)
			}
			batch = append(batch, r.Bytes(from, end)...)
		}
		if _, err := w.Append(w.End(), batch); err != nil {
			return err
		}
		if err := w.Flush(now * 3_000_000); err != nil {
			return err
		}
		if s, ok := w.nextPlain(); ok && rng.IntN(3) == 0 {
			if s, err = compress(disk.OS{}, s, never); err != nil {
				return err
			}
			w.packed(s)
		}
	}
}

// A process that archives is killed again and again, wherever it is: what is
// found is whole, in order, and goes on where it ended.
func TestKilled(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lane")
	rounds := 40
	if testing.Short() {
		rounds = 8
	}
	rng := rand.New(rand.NewPCG(4, 4))
	for round := range rounds {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "ARCHIVE_VICTIM="+dir, fmt.Sprintf("ARCHIVE_SEED=%d", round))
		var said lineWriter
		cmd.Stdout, cmd.Stderr = &said, &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(10 * time.Second); !said.has.Load() && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Duration(rng.IntN(40_000)) * time.Microsecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() == 1 {
			t.Fatalf("round %d: the victim ended by itself: %s", round, said.text())
		}
		w, err := Open(Options{Dir: dir, SegmentBytes: MinSegmentBytes, Wall: func() int64 { return 1 }, Note: func(n Note) {
			if n.Kind == NoteDamage || n.Kind == NoteGap {
				t.Errorf("round %d: %v", round, n)
			}
		}})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		end := w.End()
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if end == 0 {
			continue
		}
		if v := mustVerify(t, dir); len(v.Problems) > 0 || len(v.Gaps) > 0 || v.End != end {
			t.Fatalf("round %d: %+v", round, v)
		}
		got, err := readAll(t, dir)
		if err != nil || uint64(len(got))*victimRecord != end {
			t.Fatalf("round %d: %d records up to %d: %v", round, len(got), end, err)
		}
		for i, k := range got {
			if k.position != uint64(i)*victimRecord || binary.LittleEndian.Uint64([]byte(k.payload)) != uint64(i) {
				t.Fatalf("round %d: record %d is %+v", round, i, k)
			}
		}
		if end > 2*bedRing { // as long as it is quickly read
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}
	}
}
