package stream

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"onebeat/mirror/lane"
)

// read takes a log to its end.
func read(t *testing.T, c *Client, req LogRequest) (b []byte, last RecordHead, err error) {
	t.Helper()
	l, err := c.Log(req)
	if err != nil {
		t.Fatal(err)
	}
	for {
		chunk, err := l.Next()
		if err != nil {
			if e := l.Close(); e != nil {
				t.Error(e)
			}
			if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				return b, last, nil
			}
			return b, last, err
		}
		b, last = append(b, chunk.Records...), chunk.Last
	}
}

// The whole log, of which the ring holds the end only.
func TestLogFromArchiveAndRing(t *testing.T) {
	for _, compress := range []bool{false, true} {
		w := newWorld(t)
		w.appendArchived(20_000, 1)
		w.append(100, 1)
		w.serve(nil)
		tail := w.ring.Tail()
		c := w.dial(2)
		got, last, err := read(t, c, LogRequest{Lane: 3, Compress: compress})
		if err != nil {
			t.Fatal(err)
		}
		w.archiveAll()
		if want := w.bytes(0, tail); !bytes.Equal(got, want) {
			t.Fatalf("%d bytes of log came, %d are there", len(got), len(want))
		}
		// Resume on the same connection, behind what came.
		w.append(10, 1)
		more, _, err := read(t, c, LogRequest{Lane: 3, From: last.end(), Last: last, Compress: compress})
		if err != nil {
			t.Fatal(err)
		}
		w.archiveAll()
		if want := w.bytes(tail, w.ring.Tail()); !bytes.Equal(more, want) {
			t.Fatalf("%d bytes more came, %d are there", len(more), len(want))
		}
	}
}

// A node that began its ring anew behind a state has zeros where the ring is
// reckoned to hold the client's last record: its archive has that.
func TestLogBehindARingBegunAnew(t *testing.T) {
	w := newWorld(t)
	w.append(100, 1)
	w.archiveAll()
	w.serve(nil)
	_, last, err := read(t, w.dial(2), LogRequest{Lane: 3})
	if err != nil {
		t.Fatal(err)
	}
	w.ring.Reset(w.ring.Tail(), 1)
	w.append(100, 2)
	w.archiveAll()
	got, _, err := read(t, w.dial(2), LogRequest{Lane: 3, From: last.end(), Last: last})
	if want := w.bytes(last.end(), w.ring.Tail()); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes of log came, %d are there, %v", len(got), len(want), err)
	}
}

// Nothing that the set does not hold leaves.
func TestLogEndsAtWhatIsSafe(t *testing.T) {
	w := newWorld(t)
	w.append(100, 1)
	safe := w.ring.Tail()
	w.append(50, 1)
	w.commit(safe)
	w.archiveAll()
	w.serve(nil)
	got, _, err := read(t, w.dial(2), LogRequest{Lane: 3})
	if err != nil || uint64(len(got)) != safe {
		t.Fatalf("%d bytes, %v; %d are safe", len(got), err, safe)
	}
	status, err := w.dial(2).Status()
	if err != nil {
		t.Fatal(err)
	}
	if s := status[0]; len(status) != 1 || s.Lane != 3 || s.Safe != safe || s.End != w.ring.Tail() || s.Begin != 0 ||
		s.State != lane.Active || s.Writer != 1 || s.Epoch != 1 || s.TimeNs != w.timeNs || s.WallNs == 0 || s.Identity == (LogRequest{}).Identity {
		t.Fatalf("status %+v", status)
	}
}

// Who follows gets what comes, and what it ACKs is listed.
func TestFollow(t *testing.T) {
	w := newWorld(t)
	w.append(100, 1)
	w.serve(nil)
	c := w.dial(2)
	l, err := c.Log(LogRequest{Lane: 3, Follow: true, Copy: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for range 5 {
		for tail := w.ring.Tail(); ; {
			chunk, err := l.Next()
			if err != nil {
				t.Fatal(err)
			}
			if chunk.End() == tail {
				break
			}
		}
		if err := l.Ack(w.ring.Tail(), w.ring.Tail()-160); err != nil {
			t.Fatal(err)
		}
		deadline := time.Now().Add(5 * time.Second)
		for {
			list := w.server.Copies(3)
			if len(list) == 1 && list[0].Name == "node-2" && list[0].Node == 2 && list[0].Connected &&
				list[0].Received == w.ring.Tail() && list[0].Durable == w.ring.Tail()-160 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("copies %+v, tail %d", list, w.ring.Tail())
			}
			time.Sleep(time.Millisecond)
		}
		w.append(1000, 1)
	}
	// Life while nothing comes: longer than silence would be taken for death.
	for end := time.Now().Add(quick.Dead + quick.Dead/2); time.Now().Before(end); {
		if _, err := l.Next(); err != nil {
			t.Fatal(err)
		}
	}
}

// A log that is no beginning of the server's is cut where the first epoch begins
// that it lacks, whether ring or archive knows.
func TestCut(t *testing.T) {
	for _, archived := range []bool{false, true} {
		w := newWorld(t)
		w.append(100, 1)
		w.serve(nil)
		_, _, err := read(t, w.dial(2), LogRequest{Lane: 3})
		if err != nil {
			t.Fatal(err)
		}
		cutAt := w.ring.Tail()
		w.append(30, 1)
		_, old, err := read(t, w.dial(2), LogRequest{Lane: 3})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.ring.Cut(cutAt); err != nil {
			t.Fatal(err)
		}
		w.append(30, 2)
		if archived {
			w.appendArchived(20_000, 2)
		}
		var cut *Cut
		if _, _, err = read(t, w.dial(2), LogRequest{Lane: 3, From: old.end(), Last: old}); !errors.As(err, &cut) || cut.Position != cutAt {
			t.Fatalf("archived %v: %v, want a cut at %d", archived, err, cutAt)
		}
		// The server that is behind says so instead.
		newer := old
		newer[8] = 9
		if _, _, err = read(t, w.dial(2), LogRequest{Lane: 3, From: old.end(), Last: newer}); !errors.Is(err, ErrBehind) {
			t.Fatal(err)
		}
	}
}

// A log that is cut while it is followed ends the stream by a cut.
func TestCutWhileFollowed(t *testing.T) {
	w := newWorld(t)
	w.append(100, 1)
	cutAt := w.ring.Tail()
	w.append(30, 1)
	w.serve(nil)
	l, err := w.dial(2).Log(LogRequest{Lane: 3, Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for chunk := (Chunk{}); chunk.End() < w.ring.Tail(); {
		if chunk, err = l.Next(); err != nil {
			t.Fatal(err)
		}
	}
	w.setWord(lane.MakeWord(1, lane.Syncing))
	if err := w.ring.Cut(cutAt); err != nil {
		t.Fatal(err)
	}
	w.append(40, 2)
	w.setWord(lane.MakeWord(2, lane.Standby))
	for {
		_, err := l.Next()
		var cut *Cut
		if errors.As(err, &cut) && cut.Position == cutAt {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestRefusals(t *testing.T) {
	w := newWorld(t)
	w.append(100, 1)
	w.serve(func(o *ServerOptions) { o.May = func(node, lane uint8) bool { return node != 7 } })
	for _, c := range []struct {
		name string
		node uint8
		req  LogRequest
		word lane.Word
		want Reason
	}{
		{"no such lane", 2, LogRequest{Lane: 4}, 0, ReasonLane},
		{"not for this node", 7, LogRequest{Lane: 3}, 0, ReasonLane},
		{"syncing", 2, LogRequest{Lane: 3}, lane.MakeWord(1, lane.Syncing), ReasonNotHere},
		{"salvage while it serves", 2, LogRequest{Lane: 3, Salvage: true, To: 64}, 0, ReasonSalvage},
		{"salvage by a stranger", 5, LogRequest{Lane: 3, Salvage: true, To: 64}, lane.MakeWord(1, lane.Fenced), ReasonSalvage},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.setWord(lane.MakeWord(1, lane.Active))
			if c.word != 0 {
				w.setWord(c.word)
			}
			_, _, err := read(t, w.dial(c.node), c.req)
			var refused *Refused
			if !errors.As(err, &refused) || refused.Reason != c.want || refused.Text == "" {
				t.Fatalf("%v, want %v", err, c.want)
			}
		})
	}
	w.setWord(lane.MakeWord(1, lane.Active))
	// Another life of the lane, a snapshot where there is none, history that is gone.
	w.archiveAll()
	if _, _, err := read(t, w.dial(2), LogRequest{Lane: 3, Identity: [16]byte{1}}); !errors.Is(err, ErrOtherLife) {
		t.Fatal(err)
	}
	if _, err := w.dial(2).Snapshot(3, nil); !errors.Is(err, ErrNoSnapshot) {
		t.Fatal(err)
	}
	w.append(20_000, 1)
	w.lane.Archive = ""
	if _, _, err := read(t, w.dial(2), LogRequest{Lane: 3}); !errors.Is(err, ErrHistory) {
		t.Fatal(err)
	}
	w.counted("stream_refused_history", 1)
	w.counted("stream_refused_lane", 2)
	w.counted("stream_refused_salvage", 2)
}

// The end of a dead engine's log, behind what the set has.
func TestSalvage(t *testing.T) {
	w := newWorld(t)
	w.append(100, 1)
	safe := w.ring.Tail()
	w.serve(nil)
	_, last, err := read(t, w.dial(2), LogRequest{Lane: 3})
	if err != nil {
		t.Fatal(err)
	}
	w.append(50, 1)
	w.commit(safe)
	w.setWord(lane.MakeWord(1, lane.Fenced))
	released := w.ring.Tail()
	w.append(5, 1)
	got, _, err := read(t, w.dial(2), LogRequest{Lane: 3, From: safe, Last: last, Salvage: true, To: released})
	if err != nil || uint64(len(got)) != released-safe {
		t.Fatalf("%d bytes, %v; %d were released behind %d", len(got), err, released-safe, safe)
	}
}
