package convert

import "strconv"

// Version is one of the FIX versions spoken.
type Version uint8

// Versions.
const (
	FIX42 Version = iota + 1
	FIX44
)

// BeginString is the version's tag 8.
func (v Version) BeginString() string {
	if v == FIX42 {
		return "FIX.4.2"
	}
	return "FIX.4.4"
}

// ParseVersion reads a BeginString.
func ParseVersion[T string | []byte](s T) (Version, bool) {
	switch string(s) {
	case "FIX.4.2":
		return FIX42, true
	case "FIX.4.4":
		return FIX44, true
	}
	return 0, false
}

// AppendTime writes a UTCTimestamp with milliseconds. ns counts from 1970, as lane
// time does.
func AppendTime(b []byte, ns int64) []byte {
	days, rest := ns/86_400_000_000_000, ns%86_400_000_000_000
	if rest < 0 {
		days, rest = days-1, rest+86_400_000_000_000
	}
	// Days to a civil date, after H. Hinnant, chrono-compatible low-level date algorithms.
	z := days + 719468
	era := z / 146097
	doe := z - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	day, month, year := doy-(153*mp+2)/5+1, mp+3, yoe+era*400
	if month > 12 {
		month, year = month-12, year+1
	}
	b = digits(b, year, 4)
	b = digits(b, month, 2)
	b = append(digits(b, day, 2), '-')
	ms := rest / 1_000_000
	b = append(digits(b, ms/3_600_000, 2), ':')
	b = append(digits(b, ms/60_000%60, 2), ':')
	b = append(digits(b, ms/1000%60, 2), '.')
	return digits(b, ms%1000, 3)
}

func digits(b []byte, v int64, n int) []byte {
	var d [4]byte
	for i := n - 1; i >= 0; i-- {
		d[i] = byte('0' + v%10)
		v /= 10
	}
	return append(b, d[:n]...)
}

// AppendTimeField writes a field with a time.
func AppendTimeField(b []byte, tag int, ns int64) []byte {
	b = append(strconv.AppendInt(b, int64(tag), 10), '=')
	return append(AppendTime(b, ns), SOH)
}

// Time reads a UTCTimestamp with or without a fraction, in ns since 1970.
func Time(b []byte) (ns int64, ok bool) {
	if len(b) < 17 || b[8] != '-' || b[11] != ':' || b[14] != ':' {
		return 0, false
	}
	part := func(at, n int) int64 {
		v, good := Uint(b[at : at+n])
		ok = ok && good
		return int64(v)
	}
	ok = true
	year, month, day := part(0, 4), part(4, 2), part(6, 2)
	hour, minute, second := part(9, 2), part(12, 2), part(15, 2)
	if !ok || month < 1 || month > 12 || day < 1 || day > daysOf(year, month) || hour > 23 || minute > 59 || second > 60 {
		return 0, false
	}
	fraction := int64(0)
	if len(b) > 17 {
		n := len(b) - 18
		if b[17] != '.' || n < 1 || n > 9 {
			return 0, false
		}
		if fraction = part(18, n); !ok {
			return 0, false
		}
		fraction *= pow10[9-n]
	}
	return ((daysFrom(year, month, day)*24+hour)*60+minute)*60_000_000_000 + second*1_000_000_000 + fraction, true
}

func daysOf(year, month int64) int64 {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

func daysFrom(year, month, day int64) int64 {
	if month <= 2 {
		year--
	}
	era := year / 400
	yoe := year - era*400
	doy := (153*((month+9)%12)+2)/5 + day - 1
	return era*146097 + yoe*365 + yoe/4 - yoe/100 + doy - 719468
}
