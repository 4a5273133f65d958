package fix

import (
	"bytes"

	"onebeat/engine/fix/convert"
)

var (
	beginMark = []byte("8=")
	lengthTag = []byte("\x019=")
	trailer   = []byte("\x0110=")
)

// cut finds one message at the beginning of b. It returns how many bytes of b are done
// with, and the message if it is whole; good: its length and checksum are right. What
// is garbled is skipped, as the standard wants it. tooLong: its end is not in sight and
// never can be.
func cut(b []byte, most int) (done int, message []byte, good, tooLong bool) {
	start := bytes.Index(b, beginMark)
	if start < 0 {
		keep := 0
		if n := len(b); n > 0 && b[n-1] == beginMark[0] {
			keep = 1
		}
		return len(b) - keep, nil, false, false
	}
	m := b[start:]
	at := bytes.Index(m, lengthTag)
	if at < 0 {
		return start, nil, false, len(m) > most
	}
	at += len(lengthTag)
	end := bytes.IndexByte(m[at:], convert.SOH)
	if end < 0 {
		return start, nil, false, len(m)-at > 8
	}
	length, ok := convert.Uint(m[at : at+end])
	if !ok || length > uint64(most) || end > 8 {
		// Nobody knows where it ends. It is skipped up to where another one may begin.
		return start + at + end, nil, false, ok
	}
	body := at + end + 1
	// The checksum's SOH is the last byte of the body.
	from := body + int(length) - 1
	if from >= len(m) {
		return start, nil, false, false
	}
	at = bytes.Index(m[from:], trailer)
	if at < 0 {
		return start, nil, false, len(m) > 2*most
	}
	sum := from + at + len(trailer)
	end = bytes.IndexByte(m[sum:], convert.SOH)
	if end < 0 {
		return start, nil, false, len(m) > 2*most
	}
	message = m[:sum+end+1]
	return start + len(message), message, at == 0 && end == 3 && checksumIs(m[:from+1], m[sum:sum+3]), false
}

func checksumIs(m, text []byte) bool {
	sum := uint32(0)
	for _, c := range m {
		sum += uint32(c)
	}
	v := byte(sum)
	return text[0] == '0'+v/100 && text[1] == '0'+v/10%10 && text[2] == '0'+v%10
}

// head is what the session layer reads of a message; nil: the field is not there.
type head struct {
	whole                                []byte
	beginString, msgType, seqNo          []byte
	sender, target, senderSub, targetSub []byte
	sendingTime, origSendingTime         []byte
	possDup, possResend                  []byte
	onBehalf, onBehalfSub, onBehalfLoc   []byte
	deliver, deliverSub, deliverLoc      []byte
	badTag                               int // a field whose tag is no number
	number                               uint64
}

// parse reads a whole message; false: it does not begin as a message must.
func (h *head) parse(m []byte) bool {
	*h = head{whole: m}
	for n := 0; len(m) > 0; n++ {
		tag, value, rest, ok := convert.Next(m)
		if !ok {
			// No number before the '=', or none: the dictionary's check says which.
			i := bytes.IndexByte(m, convert.SOH)
			if i < 0 {
				return false
			}
			if n < 3 || bytes.IndexByte(m[:i], '=') < 1 {
				return false
			}
			m = m[i+1:]
			h.badTag++
			continue
		}
		m = rest
		if n < 3 && tag != [3]int{8, 9, 35}[n] {
			return false
		}
		h.take(tag, value)
	}
	return h.msgType != nil
}

func (h *head) take(tag int, value []byte) {
	var to *[]byte
	switch tag {
	case 8:
		to = &h.beginString
	case 34:
		to = &h.seqNo
	case 35:
		to = &h.msgType
	case 43:
		to = &h.possDup
	case 49:
		to = &h.sender
	case 50:
		to = &h.senderSub
	case 52:
		to = &h.sendingTime
	case 56:
		to = &h.target
	case 57:
		to = &h.targetSub
	case 97:
		to = &h.possResend
	case 115:
		to = &h.onBehalf
	case 116:
		to = &h.onBehalfSub
	case 122:
		to = &h.origSendingTime
	case 128:
		to = &h.deliver
	case 129:
		to = &h.deliverSub
	case 144:
		to = &h.onBehalfLoc
	case 145:
		to = &h.deliverLoc
	default:
		return
	}
	if *to == nil {
		*to = value[:len(value):len(value)]
		if value == nil {
			*to = []byte{}
		}
	}
}

// reverse is the routing part of an answer's header.
func (h *head) reverse(b []byte) []byte {
	for _, f := range []struct {
		tag   int
		value []byte
	}{{115, h.deliver}, {116, h.deliverSub}, {128, h.onBehalf}, {129, h.onBehalfSub}, {144, h.deliverLoc}, {145, h.onBehalfLoc}} {
		if len(f.value) > 0 {
			b = convert.AppendField(b, f.tag, f.value)
		}
	}
	return b
}

func yes(b []byte) bool { return len(b) == 1 && b[0] == 'Y' }
