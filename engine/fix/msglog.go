package fix

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
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
	queue  chan []byte
	done   chan struct{}
	once   sync.Once
	err    error
}

// logQueue is how many messages may wait for the disk.
const logQueue = 8192

func newMessageLog(dir string, counts *Counts) (*messageLog, error) {
	if dir == "" {
		return nil, nil
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("message log: %w", err)
	}
	l := &messageLog{dir: dir, counts: counts, queue: make(chan []byte, logQueue), done: make(chan struct{})}
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
	var f *os.File
	var w *bufio.Writer
	day := ""
	end := func() {
		if f != nil {
			l.err = errors.Join(l.err, w.Flush(), f.Close())
			f = nil
		}
	}
	defer end()
	for line := range l.queue {
		if d := string(line[:8]); d != day || f == nil {
			end()
			day = d
			var err error
			f, err = os.OpenFile(filepath.Join(l.dir, "messages-"+day+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
			if err != nil {
				f, l.err = nil, err
				l.counts.add(CountLogDropped)
				continue
			}
			w = bufio.NewWriterSize(f, 1<<16)
		}
		_, err := w.Write(line)
		if len(l.queue) == 0 {
			err = errors.Join(err, w.Flush())
		}
		if err != nil {
			l.counts.add(CountLogDropped)
			_ = f.Close()
			f = nil
		}
	}
}

func (l *messageLog) close() error {
	if l == nil {
		return nil
	}
	l.once.Do(func() { close(l.queue) })
	<-l.done
	return l.err
}
