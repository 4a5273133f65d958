package logs

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"

	"onebeat/engine/app"
	"onebeat/mirror/reader"
	"onebeat/mirror/ring"
	"onebeat/mirror/ringfile"
	"onebeat/pin"
)

const (
	readerP99Ns = 500
	// readerPause is between a record's arrival and the next one, so that the reader
	// waits for each. One is in flight, as in the shapes of the order path: what
	// takes a core away for a while is met once, not by all who queue behind it.
	readerPause = time.Microsecond
	readerUsual = 1400 * time.Nanosecond // with it
)

// seen is what the reading process says, in ticks of the time-stamp counter.
type seen struct {
	Records uint64 `json:"records"`
	P50     int64  `json:"p50"`
	P99     int64  `json:"p99"`
	P999    int64  `json:"p999"`
	Max     int64  `json:"max"`
}

// readerReady is its first line.
const readerReady = "ready\n"

// RunReader is the other process: it spins on a ring file, reads count records and
// says how old they were. It is told the file, its core and the count.
func RunReader(args []string, out io.Writer) error {
	if len(args) != 3 {
		return fmt.Errorf("want a ring file, a core and a count, not %q", args)
	}
	answer, err := ringfile.Open(answerPath(args[0]), ring.MinSizeBytes)
	if err != nil {
		return err
	}
	defer answer.Close()
	core, errCore := strconv.Atoi(args[1])
	count, errCount := strconv.ParseUint(args[2], 10, 64)
	if err := errors.Join(errCore, errCount); err != nil {
		return err
	}
	unlock, err := pin.LockThread(core)
	if err != nil {
		return err
	}
	defer unlock()
	r, err := reader.Open(reader.Config{File: args[0]})
	if err != nil {
		return err
	}
	h := hdr.New(1, 1<<40, 3)
	if _, err := io.WriteString(out, readerReady); err != nil {
		return errors.Join(err, r.Close())
	}
	s := seen{}
	var rec app.Record
	for s.Records < count {
		more, err := r.Next(&rec)
		if err != nil {
			return errors.Join(err, r.Close())
		}
		if !more {
			continue
		}
		now := ticks()
		s.Records++
		atomic.StoreUint64(&answer.Table.Tail, s.Records)
		if s.Records > count/10 { // the first ones warm up
			_ = h.RecordValue(int64(now - binary.LittleEndian.Uint64(rec.Payload)))
		}
	}
	s.P50, s.P99, s.P999, s.Max = h.ValueAtQuantile(50), h.ValueAtQuantile(99), h.ValueAtQuantile(99.9), h.Max()
	return errors.Join(json.NewEncoder(out).Encode(s), r.Close())
}

// measureReader appends stamped records while another process reads them.
func measureReader(ctx context.Context, o *Options) (r Result, err error) {
	if !haveTicks {
		return r, errors.New("no clock is known here that two processes read in nanoseconds")
	}
	var p50, p99, p999 []int64
	for range o.Rounds {
		s, took, err := readOnce(ctx, o)
		if err != nil {
			return r, err
		}
		r.rate(s.Records, s.Records*recordBytes, took.span)
		p50, p99, p999 = append(p50, took.ns(s.P50)), append(p99, took.ns(s.P99)), append(p999, took.ns(s.P999))
		r.MaxNs = max(r.MaxNs, took.ns(s.Max))
	}
	r.Payload, r.RingBytes = payloadBytes, ringBytes
	r.P50Ns, r.P99Ns, r.P999Ns = median(p50), median(p99), median(p999)
	r.atMost("ns until another process has a record, p99", float64(r.P99Ns), readerP99Ns)
	return r, nil
}

// pace is how long a round took, by both clocks.
type pace struct {
	span  time.Duration
	ticks uint64
}

func (p pace) ns(ticks int64) int64 {
	return int64(float64(ticks) * float64(p.span) / float64(p.ticks))
}

func readOnce(ctx context.Context, o *Options) (s seen, p pace, err error) {
	b, err := newBed()
	if err != nil {
		return s, p, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	count := uint64(o.span(time.Second) / readerUsual)
	command := o.ReaderCommand
	if len(command) == 0 {
		self, err := os.Executable()
		if err != nil {
			return s, p, err
		}
		command = []string{self, "bench-reader"}
	}
	child := exec.CommandContext(ctx, command[0], append(command[1:], b.path, strconv.Itoa(o.Layout.Client), strconv.FormatUint(count, 10))...)
	var said bytes.Buffer
	child.Stderr = &said
	out, err := child.StdoutPipe()
	if err != nil {
		return s, p, err
	}
	if err := child.Start(); err != nil {
		return s, p, err
	}
	defer func() {
		if e := child.Wait(); err == nil && e != nil {
			err = fmt.Errorf("the reading process: %w: %s", e, said.Bytes())
		}
	}()
	lines := bufio.NewReader(out)
	if line, err := lines.ReadString('\n'); err != nil || line != readerReady {
		return s, p, fmt.Errorf("the reading process does not start: %q %w", line, err)
	}
	unlock, err := pin.LockThread(o.Layout.Primary)
	if err != nil {
		return s, p, errors.Join(err, child.Process.Kill())
	}
	defer unlock()
	answer, err := ringfile.Open(answerPath(b.path), ring.MinSizeBytes)
	if err != nil {
		return s, p, errors.Join(err, child.Process.Kill())
	}
	defer func() { err = errors.Join(err, answer.Close()) }()
	p = feed(ctx, b, &answer.Table.Tail, count)
	return s, p, json.NewDecoder(lines).Decode(&s)
}

// answerPath is a file in which the reading process says how many it has read.
func answerPath(path string) string { return path + ".answer" }

// feed appends stamped records, each once the one before was read.
func feed(ctx context.Context, b *bed, answer *uint64, count uint64) pace {
	var payload [payloadBytes]byte
	began, from := time.Now(), ticks()
	// A pause in ticks: the clock costs more than the counter.
	for time.Since(began) < 10*time.Millisecond {
	}
	pause := uint64(float64(ticks()-from) * float64(readerPause) / float64(time.Since(began)))
	for n := range count {
		now := ticks()
		binary.LittleEndian.PutUint64(payload[:], now)
		b.ring.Append(app.RecordMessage, 1, int64(n), payload[:])
		for looks := 1; atomic.LoadUint64(answer) <= n; looks++ {
			if looks%1e6 == 0 && ctx.Err() != nil {
				return pace{time.Since(began), ticks() - from}
			}
		}
		for now = ticks(); ticks()-now < pause; {
		}
	}
	return pace{time.Since(began), ticks() - from}
}
