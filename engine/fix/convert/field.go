package convert

import "strconv"

// SOH ends every field.
const SOH = 1

// Next takes one field off the front of b; ok is false when there is none, or none
// that FIX's syntax allows.
func Next(b []byte) (tag int, value, rest []byte, ok bool) {
	i := 0
	for ; i < len(b) && b[i] != '='; i++ {
		d := b[i] - '0'
		if d > 9 || i == 6 || i == 0 && d == 0 {
			return 0, nil, b, false
		}
		tag = tag*10 + int(d)
	}
	if i == 0 || i == len(b) {
		return 0, nil, b, false
	}
	for end := i + 1; end < len(b); end++ {
		if b[end] == SOH {
			return tag, b[i+1 : end], b[end+1:], true
		}
	}
	return 0, nil, b, false
}

// Find returns the first field with a tag in b, nil if there is none.
func Find(b []byte, tag int) []byte {
	for len(b) > 0 {
		t, value, rest, ok := Next(b)
		if !ok {
			return nil
		}
		if t == tag {
			return value
		}
		b = rest
	}
	return nil
}

// AppendField writes a field with a text.
func AppendField[T string | []byte](b []byte, tag int, value T) []byte {
	b = append(strconv.AppendInt(b, int64(tag), 10), '=')
	return append(append(b, value...), SOH)
}

// AppendInt writes a field with a number.
func AppendInt(b []byte, tag int, value int64) []byte {
	b = append(strconv.AppendInt(b, int64(tag), 10), '=')
	return append(strconv.AppendInt(b, value, 10), SOH)
}

// AppendChar writes a field with one character.
func AppendChar(b []byte, tag int, value byte) []byte {
	b = append(strconv.AppendInt(b, int64(tag), 10), '=')
	return append(b, value, SOH)
}

// Uint reads a number without sign.
func Uint(b []byte) (uint64, bool) {
	if len(b) == 0 || len(b) > 19 {
		return 0, false
	}
	v := uint64(0)
	for _, c := range b {
		d := c - '0'
		if d > 9 {
			return 0, false
		}
		v = v*10 + uint64(d)
	}
	return v, true
}
