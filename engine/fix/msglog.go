package fix

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"onebeat/engine/fix/convert"
)

// messageLog writes all messages to a file a day, beside the path: what the disk is too
// slow for is left out and counted.
type messageLog struct {
	dir    string
	counts *Counts
	log    *slog.Logger
	queue  chan []byte
	done   chan struct{}
	once   sync.Once

	// Of run.
	file   *os.File // nil: none is open
	out    *bufio.Writer
	day    string
	lines  uint64 // in out's buffer
	failed bool   // and said so
}

// logQueue is how many messages may wait for the disk.
const logQueue = 8192

func newMessageLog(dir string, counts *Counts, log *slog.Logger) (*messageLog, error) {
	if dir == "" {
		return nil, nil
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("message log: %w", err)
	}
	l := &messageLog{dir: dir, counts: counts, log: log, queue: make(chan []byte, logQueue), done: make(chan struct{})}
	go l.run()
	return l, nil
}

// secret is what no log may show: Password, NewPassword, RawData.
func secret(tag int) bool { return tag == 554 || tag == 925 || tag == 96 }

func (l *messageLog) message(session int, in bool, m []byte) {
	if l == nil {
		return
	}
	line := time.Now().UTC().AppendFormat(make([]byte, 0, len(m)+48), "20060102-15:04:05.000000 ")
	line = fmt.Appendf(line, "%d ", session)
	if in {
		line = append(line, "in  "...)
	} else {
		line = append(line, "out "...)
	}
	if kind := msgTypeOf(m); kind == 'A' || kind == 0 || kind == 'B' {
		m = scrub(m)
	}
	line = append(append(line, bytes.ReplaceAll(m, []byte{'\n'}, []byte{' '})...), '\n')
	select {
	case l.queue <- line:
	default:
		l.counts.add(CountLogDropped)
	}
}

func scrub(m []byte) []byte {
	var b []byte
	for len(m) > 0 {
		tag, _, rest, ok := convert.Next(m)
		switch {
		case !ok:
			return append(b, m...)
		case secret(tag):
			b = convert.AppendField(b, tag, "***")
		default:
			b = append(b, m[:len(m)-len(rest)]...)
		}
		m = rest
	}
	return b
}

func (l *messageLog) run() {
	defer close(l.done)
	for line := range l.queue {
		if err := l.write(line); err != nil {
			l.drop(err)
		}
	}
	if err := l.end(); err != nil {
		l.drop(err)
	}
}

// write appends a line to the file of its day, and empties the buffer when nothing waits.
func (l *messageLog) write(line []byte) error {
	l.lines++
	if day := string(line[:8]); l.file == nil || day != l.day {
		err := l.end()
		if err == nil {
			l.day = day
			l.file, err = os.OpenFile(filepath.Join(l.dir, "messages-"+day+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
		}
		if err != nil {
			l.file = nil
			return err
		}
		l.out = bufio.NewWriterSize(l.file, 1<<16)
	}
	if _, err := l.out.Write(line); err != nil {
		return err
	}
	if len(l.queue) > 0 {
		return nil
	}
	if err := l.out.Flush(); err != nil {
		return err
	}
	l.lines = 0
	if l.failed {
		l.failed = false
		l.log.Warn("the FIX message log is written again", "dir", l.dir)
	}
	return nil
}

// drop counts what is lost with the buffer; the file is opened again for the next line.
func (l *messageLog) drop(err error) {
	l.counts[CountLogDropped].Add(l.lines)
	l.lines = 0
	if l.file != nil {
		_ = l.file.Close()
		l.file = nil
	}
	if !l.failed {
		l.failed = true
		l.log.Error("the FIX message log cannot be written; orders go on without it", "dir", l.dir, "error", err)
	}
}

// end closes the file, if one is open.
func (l *messageLog) end() error {
	if l.file == nil {
		return nil
	}
	err := errors.Join(l.out.Flush(), l.file.Close())
	l.file = nil
	return err
}

// close writes what waits.
func (l *messageLog) close() {
	if l == nil {
		return
	}
	l.once.Do(func() { close(l.queue) })
	<-l.done
}
