package archive

import (
	"errors"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"onebeat/engine/app"
	"onebeat/mirror/disk"
	"onebeat/mirror/lane"
	"onebeat/mirror/ring"
)

// Who verifies, lists or reads an archive whose writer compresses, removes and
// writes meanwhile finds nothing wrong, and no gap.
func TestLiveWriter(t *testing.T) {
	var table lane.Table
	const size = 1 << 20
	g, err := ring.New(make([]byte, size+ring.SlackBytes), size, &table.Tail)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(memoryDir(t), "lane")
	release, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := release(); err != nil {
			t.Error(err)
		}
	}()
	f, err := NewFollower(Options{Dir: dir, SegmentBytes: 64 << 10, Compress: true, RetainBytes: 512 << 10, Sync: SyncNone,
		Wall: func() int64 { return time.Now().UnixNano() }}, g)
	if err != nil {
		t.Fatal(err)
	}
	stop, ended := make(chan struct{}), make(chan error, 1)
	packing := make(chan struct{})
	go func() { // as Run does
		defer close(packing)
		for {
			select {
			case s := <-f.jobs:
				f.Pack(s)
			case <-stop:
				return
			}
		}
	}()
	go func() {
		payload, dice := make([]byte, 200), rand.NewChaCha8([32]byte{})
		for n := int64(0); ; n++ {
			select {
			case <-stop:
				ended <- nil
				return
			default:
			}
			for range 20 {
				_, _ = dice.Read(payload) // never fails
				if _, _, ok := g.Append(app.RecordMessage, 1, time.Now().UnixNano(), payload); !ok {
					ended <- errors.New("the ring is full")
					return
				}
			}
			for f.Step(n*1e9) > 0 {
			}
			time.Sleep(50 * time.Microsecond)
		}
	}()
	verified, begin := 0, uint64(0)
	began := time.Now()
	for time.Since(began) < 1200*time.Millisecond || (verified < 3 || begin == 0 && !testing.Short()) && time.Since(began) < 8*time.Second {
		v, err := Verify(disk.OS{}, dir, nil)
		if errors.Is(err, ErrEmpty) {
			continue
		}
		if err != nil || len(v.Problems) > 0 || len(v.Gaps) > 0 {
			t.Fatalf("%+v, %v", v, err)
		}
		verified, begin = verified+1, v.Begin
		list, err := List(disk.OS{}, dir)
		if err != nil {
			t.Fatal(err)
		}
		for i := 1; i < len(list); i++ {
			if list[i].Header.PreviousEnd != list[i].first && list[i].usable() || list[i-1].Sealed && list[i-1].Seal.End != list[i].first {
				t.Fatalf("the list lacks what is before %d", list[i].first)
			}
		}
	}
	close(stop)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	f.stopKeeping()
	<-packing
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if s := f.Status(); verified < 3 || begin == 0 && !testing.Short() || s.Gaps > 0 {
		t.Errorf("verified %d times, the archive begins at %d: %+v", verified, begin, s)
	}
}
