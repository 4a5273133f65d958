package policies

import (
	"errors"
	"strconv"
	"strings"

	"onebeat/engine/app"
	"onebeat/mirror/policy"
)

func init() { policy.Register("outside-hours", newOutsideHours) }

const (
	minuteNs = 60_000_000_000
	dayNs    = 24 * 60 * minuteNs
)

// outsideHours is mirrored during a part of each day, and archived outside: when
// nobody trades, an answer may take as long as a disk. The day is that of the
// lane's time, UTC.
type outsideHours struct {
	fromNs, toNs int64 // of a day
	outside      bool  // as of the newest record
}

func newOutsideHours(argument string) (policy.Policy, error) {
	from, to, ok := strings.Cut(argument, "-")
	fromNs, ok1 := timeOfDay(from)
	toNs, ok2 := timeOfDay(to)
	if !ok || !ok1 || !ok2 || fromNs >= toNs {
		return nil, errors.New("give the hours in UTC, as in outside-hours:08:00-16:30")
	}
	return &outsideHours{fromNs: fromNs, toNs: toNs, outside: true}, nil
}

func timeOfDay(text string) (ns int64, ok bool) {
	h, m, colon := strings.Cut(text, ":")
	hours, err1 := strconv.ParseUint(h, 10, 8)
	minutes, err2 := strconv.ParseUint(m, 10, 8)
	return (int64(hours)*60 + int64(minutes)) * minuteNs, colon && err1 == nil && err2 == nil && minutes < 60 && hours*60+minutes <= 24*60
}

// Archives implements policy.Archiver.
func (*outsideHours) Archives() bool { return true }

// Observe implements policy.Observer.
func (o *outsideHours) Observe(rec *app.Record, _ uint64) {
	ofDay := rec.TimeNs % dayNs
	o.outside = ofDay < o.fromNs || ofDay >= o.toNs
}

// Releasable implements policy.Policy.
func (o *outsideHours) Releasable(v *policy.View) uint64 {
	if o.outside {
		return policy.Archived{}.Releasable(v)
	}
	return policy.Mirrored{}.Releasable(v)
}
