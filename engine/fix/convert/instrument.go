package convert

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ErrConfig is wrapped by every refusal of names and sizes.
var ErrConfig = errors.New("FIX names")

// Tick is the smallest step of a price: Mantissa times ten to the power of -Digits.
type Tick struct {
	Mantissa int64
	Digits   int
}

// OneTick is the tick of who counts prices in ticks.
var OneTick = Tick{Mantissa: 1}

const tickDigitsMax = 9

// ParseTick reads a decimal like 0.01 or 2.5.
func ParseTick(s string) (Tick, error) {
	whole, part, _ := strings.Cut(s, ".")
	part = strings.TrimRight(part, "0")
	m, err := strconv.ParseInt(whole+part, 10, 64)
	if err != nil || m < 1 || m > 1_000_000_000 || len(part) > tickDigitsMax {
		return Tick{}, fmt.Errorf("%w: tick %q: give a decimal above 0 of at most %d places, like 0.01", ErrConfig, s, tickDigitsMax)
	}
	return Tick{Mantissa: m, Digits: len(part)}, nil
}

var pow10 = [tickDigitsMax + 1]int64{1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000}

// Ticks reads a FIX price; false: it is no price, or no multiple of the tick.
func (t Tick) Ticks(b []byte) (int64, bool) {
	negative := len(b) > 0 && b[0] == '-'
	if negative {
		b = b[1:]
	}
	v, digits, point, seen := int64(0), 0, false, false
	for _, c := range b {
		if c == '.' && !point {
			point = true
			continue
		}
		d := int64(c) - '0'
		if d < 0 || d > 9 {
			return 0, false
		}
		seen = true
		if point {
			if digits == t.Digits {
				if d != 0 {
					return 0, false
				}
				continue
			}
			digits++
		}
		if v > (math.MaxInt64-9)/10 {
			return 0, false
		}
		v = v*10 + d
	}
	if !seen {
		return 0, false
	}
	scale := pow10[t.Digits-digits]
	if v > math.MaxInt64/scale {
		return 0, false
	}
	v *= scale
	if v%t.Mantissa != 0 {
		return 0, false
	}
	if v /= t.Mantissa; negative {
		v = -v
	}
	return v, true
}

// AppendPrice writes ticks as a FIX price, without zeros at its end.
func (t Tick) AppendPrice(b []byte, ticks int64) []byte {
	if ticks > math.MaxInt64/t.Mantissa || ticks < -math.MaxInt64/t.Mantissa {
		return append(b, '0') // no market has it; a client's own price was refused before
	}
	return appendDecimal(b, ticks*t.Mantissa, t.Digits)
}

func appendDecimal(b []byte, v int64, digits int) []byte {
	if v < 0 {
		b, v = append(b, '-'), -v
	}
	for digits > 0 && v%10 == 0 {
		v, digits = v/10, digits-1
	}
	b = strconv.AppendInt(b, v/pow10[digits], 10)
	if digits == 0 {
		return b
	}
	b = append(b, '.')
	for rest := v % pow10[digits]; digits > 0; {
		digits--
		b = append(b, byte('0'+rest/pow10[digits]))
		rest %= pow10[digits]
	}
	return b
}

// averageDigits are the places of an average price beyond the tick's.
const averageDigits = 4

// AppendAverage writes the average of a sum of ticks times lots over lots.
func (t Tick) AppendAverage(b []byte, sum, lots int64) []byte {
	digits := min(t.Digits+averageDigits, tickDigitsMax)
	scale := float64(pow10[digits]) / float64(pow10[t.Digits])
	if lots <= 0 {
		return append(b, '0')
	}
	if sum%lots == 0 {
		return t.AppendPrice(b, sum/lots)
	}
	v := float64(sum) / float64(lots) * float64(t.Mantissa) * scale
	if math.Abs(v) >= 1<<62 {
		return append(b, '0')
	}
	return appendDecimal(b, int64(math.Round(v)), digits)
}

// Instrument is one symbol as FIX writes it.
type Instrument struct {
	ID   uint32
	Name string
	Tick Tick
}

// Names are the texts that stand for numbers in one session's messages.
type Names struct {
	Version     Version
	instruments []Instrument
	byName      map[string]int
	byID        map[uint32]int
	accounts    map[string]uint32
	accountBy   map[uint32]string
	// Account is that of messages that name none.
	Account uint32
}

// NewNames checks and joins. accounts may be nil: an account is its number then.
func NewNames(v Version, instruments []Instrument, accounts map[string]uint32, account uint32) (*Names, error) {
	n := &Names{Version: v, instruments: instruments, byName: map[string]int{}, byID: map[uint32]int{},
		accounts: accounts, accountBy: map[uint32]string{}, Account: account}
	for i, x := range instruments {
		if _, twice := n.byName[x.Name]; twice || x.Name == "" || strings.IndexByte(x.Name, SOH) >= 0 {
			return nil, fmt.Errorf("%w: symbol %q is there twice or no name: name each once", ErrConfig, x.Name)
		}
		if _, twice := n.byID[x.ID]; twice {
			return nil, fmt.Errorf("%w: symbol number %d is there twice: name each once", ErrConfig, x.ID)
		}
		if x.Tick.Mantissa < 1 || x.Tick.Digits < 0 || x.Tick.Digits > tickDigitsMax {
			return nil, fmt.Errorf("%w: symbol %s has no tick", ErrConfig, x.Name)
		}
		n.byName[x.Name], n.byID[x.ID] = i, i
	}
	for name, number := range accounts {
		if other, twice := n.accountBy[number]; twice {
			return nil, fmt.Errorf("%w: accounts %s and %s have one number", ErrConfig, name, other)
		}
		n.accountBy[number] = name
	}
	return n, nil
}

// Symbol finds an instrument by its text.
func (n *Names) Symbol(name []byte) (*Instrument, bool) {
	i, ok := n.byName[string(name)]
	if !ok {
		return nil, false
	}
	return &n.instruments[i], true
}

// Instrument finds one by its number; an unknown one has its number for a name.
func (n *Names) Instrument(id uint32) Instrument {
	if i, ok := n.byID[id]; ok {
		return n.instruments[i]
	}
	return Instrument{ID: id, Tick: OneTick}
}

// accountOf reads tag 1.
func (n *Names) accountOf(b []byte) (uint32, bool) {
	if b == nil {
		return n.Account, true
	}
	if id, ok := n.accounts[string(b)]; ok || len(n.accounts) > 0 {
		return id, ok
	}
	v, ok := Uint(b)
	return uint32(v), ok && v <= math.MaxUint32
}

func (n *Names) appendAccount(b []byte, id uint32) []byte {
	if name, ok := n.accountBy[id]; ok {
		return AppendField(b, 1, name)
	}
	return AppendInt(b, 1, int64(id))
}

func (n *Names) appendSymbol(b []byte, id uint32) []byte {
	if i, ok := n.byID[id]; ok {
		return AppendField(b, 55, n.instruments[i].Name)
	}
	return AppendInt(b, 55, int64(id))
}
