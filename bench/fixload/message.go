package fixload

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"
)

const soh = 1

// ErrGarbled means that what came is no FIX.
var ErrGarbled = errors.New("garbled FIX")

// writer builds one session's messages. Nothing is allocated once its buffers
// have grown.
type writer struct {
	version, sender, target string
	next                    uint64 // MsgSeqNum
	body, out               []byte
	stamp                   []byte
	stampMs                 int64
}

// begin starts a message behind its BodyLength.
func (w *writer) begin(kind byte, now time.Time) {
	if ms := now.UnixMilli(); ms != w.stampMs {
		w.stamp = now.UTC().AppendFormat(w.stamp[:0], "20060102-15:04:05.000")
		w.stampMs = ms
	}
	w.body = append(w.body[:0], "35="...)
	w.body = append(w.body, kind, soh)
	w.text(49, w.sender)
	w.text(56, w.target)
	w.number(34, w.next)
	w.bytes(52, w.stamp)
	w.next++
}

func (w *writer) tag(tag int) {
	w.body = strconv.AppendInt(w.body, int64(tag), 10)
	w.body = append(w.body, '=')
}

func (w *writer) text(tag int, value string) {
	w.tag(tag)
	w.body = append(append(w.body, value...), soh)
}

func (w *writer) bytes(tag int, value []byte) {
	w.tag(tag)
	w.body = append(append(w.body, value...), soh)
}

func (w *writer) number(tag int, value uint64) {
	w.tag(tag)
	w.body = append(strconv.AppendUint(w.body, value, 10), soh)
}

// end appends the whole message to the output.
func (w *writer) end() {
	from := len(w.out)
	w.out = append(append(w.out, "8="...), w.version...)
	w.out = append(w.out, soh, '9', '=')
	w.out = append(strconv.AppendInt(w.out, int64(len(w.body)), 10), soh)
	w.out = append(w.out, w.body...)
	sum := byte(0)
	for _, c := range w.out[from:] {
		sum += c
	}
	w.out = append(w.out, '1', '0', '=', '0'+sum/100, '0'+sum/10%10, '0'+sum%10, soh)
}

// order appends a limit order for one lot. Every second one matches the first.
func (w *writer) order(id uint64, symbol string, price uint64, now time.Time) {
	w.begin('D', now)
	w.number(11, id)
	w.text(21, "1")
	w.number(38, 1)
	w.text(40, "2")
	w.number(44, price)
	w.number(54, 1+id&1)
	w.text(55, symbol)
	w.text(59, "0")
	w.bytes(60, w.stamp)
	w.end()
}

// reader takes messages out of a stream.
type reader struct {
	b          []byte
	from, upTo int
}

// room is where the next bytes go.
func (r *reader) room() []byte {
	if r.from > len(r.b)/2 {
		r.upTo = copy(r.b, r.b[r.from:r.upTo])
		r.from = 0
	}
	return r.b[r.upTo:]
}

// next returns a whole message, nil if there is none yet. It is valid until room
// is asked for.
func (r *reader) next() ([]byte, error) {
	b := r.b[r.from:r.upTo]
	if len(b) < 20 {
		return nil, nil
	}
	if b[0] != '8' || b[1] != '=' {
		return nil, fmt.Errorf("%w: %q", ErrGarbled, b[:20])
	}
	i := bytes.IndexByte(b, soh)
	if i < 0 || len(b) < i+4 {
		return nil, nil
	}
	length, at := 0, i+3
	for ; at < len(b) && b[at] != soh; at++ {
		if b[at] < '0' || b[at] > '9' || length > 1<<20 {
			return nil, fmt.Errorf("%w: BodyLength", ErrGarbled)
		}
		length = 10*length + int(b[at]-'0')
	}
	whole := at + 1 + length + len("10=000|")
	if len(b) < whole {
		return nil, nil
	}
	r.from += whole
	return b[:whole], nil
}

// value finds a field of a message; nil: it has none.
func value(m []byte, tag string) []byte {
	for at := 0; ; {
		i := bytes.Index(m[at:], []byte(tag))
		if i < 0 {
			return nil
		}
		at += i
		if at > 0 && m[at-1] == soh {
			v := m[at+len(tag):]
			if end := bytes.IndexByte(v, soh); end >= 0 {
				return v[:end]
			}
			return nil
		}
		at += len(tag)
	}
}

// Fields as value wants them, without the work of making them.
const (
	tagClOrdID   = "11="
	tagMsgType   = "35="
	tagText      = "58="
	tagTestReqID = "112="
)

func uintOf(b []byte) (n uint64) {
	for _, c := range b {
		n = 10*n + uint64(c-'0')
	}
	return n
}
