package fix

import (
	"fmt"
	"time"
)

// Schedule is when a session exists: daily from Start to End on Days, or weekly from
// StartDay to EndDay. The zero value is always.
type Schedule struct {
	// Start and End are times of day in Zone; equal ones make days of 24 hours that
	// begin at Start.
	Start, End time.Duration
	Zone       *time.Location
	// Days are the weekdays on which a daily session begins; none: all.
	Days []time.Weekday
	// Weekly sessions begin at Start on StartDay and end at End on EndDay.
	Weekly           bool
	StartDay, EndDay time.Weekday
	// Always is a session without an end.
	set bool
}

// NewSchedule checks; zone "" is UTC.
func NewSchedule(start, end, zone string, days []string, startDay, endDay string) (Schedule, error) {
	var s Schedule
	if start == "" && end == "" && len(days) == 0 && startDay == "" && endDay == "" {
		return s, nil
	}
	s.set = true
	var err error
	if s.Zone, err = time.LoadLocation(zone); err != nil {
		return s, fmt.Errorf("%w: time zone %q: give one like Europe/London, or UTC", ErrConfig, zone)
	}
	if s.Start, err = timeOfDay(start); err != nil {
		return s, err
	}
	if s.End, err = timeOfDay(end); err != nil {
		return s, err
	}
	for _, d := range days {
		day, ok := weekday(d)
		if !ok {
			return s, fmt.Errorf("%w: weekday %q: give monday, tuesday and so on", ErrConfig, d)
		}
		s.Days = append(s.Days, day)
	}
	if startDay == "" && endDay == "" {
		return s, nil
	}
	var ok, ok2 bool
	s.Weekly = true
	s.StartDay, ok = weekday(startDay)
	s.EndDay, ok2 = weekday(endDay)
	if !ok || !ok2 || len(days) > 0 {
		return s, fmt.Errorf("%w: a weekly session needs a first and a last weekday, and no list of days", ErrConfig)
	}
	return s, nil
}

func timeOfDay(s string) (time.Duration, error) {
	t, err := time.Parse("15:04:05", s)
	if err != nil {
		return 0, fmt.Errorf("%w: time of day %q: give hh:mm:ss", ErrConfig, s)
	}
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second, nil
}

var weekdays = map[string]time.Weekday{"sunday": 0, "monday": 1, "tuesday": 2, "wednesday": 3, "thursday": 4, "friday": 5, "saturday": 6}

func weekday(s string) (time.Weekday, bool) {
	d, ok := weekdays[s]
	return d, ok
}

// at is a time of day, as the clocks on the wall show it, of the day that is so many
// days behind day.
func (s *Schedule) at(day time.Time, days int, of time.Duration) time.Time {
	y, m, d := day.Date()
	return time.Date(y, m, d+days, int(of/time.Hour), int(of/time.Minute)%60, int(of/time.Second)%60, 0, s.Zone)
}

// Session returns the session that t is in; open false: in none.
func (s *Schedule) Session(t time.Time) (start, end time.Time, open bool) {
	if !s.set {
		return time.Time{}, time.Time{}, true
	}
	t = t.In(s.Zone)
	if s.Weekly {
		back := int(t.Weekday()-s.StartDay+7) % 7
		length := int(s.EndDay-s.StartDay+7) % 7
		if length == 0 && s.End <= s.Start {
			length = 7
		}
		for _, b := range []int{back, back + 7} {
			start, end = s.at(t, -b, s.Start), s.at(t, length-b, s.End)
			if !t.Before(start) && t.Before(end) {
				return start, end, true
			}
		}
		return time.Time{}, time.Time{}, false
	}
	over := 0
	if s.End <= s.Start {
		over = 1
	}
	for _, b := range []int{0, 1} {
		start, end = s.at(t, -b, s.Start), s.at(t, over-b, s.End)
		if !t.Before(start) && t.Before(end) && s.begins(start.Weekday()) {
			return start, end, true
		}
	}
	return time.Time{}, time.Time{}, false
}

func (s *Schedule) begins(d time.Weekday) bool {
	if len(s.Days) == 0 {
		return true
	}
	for _, x := range s.Days {
		if x == d {
			return true
		}
	}
	return false
}

// Expired reports whether a session that was created then is over at t: its numbers
// begin anew.
func (s *Schedule) Expired(created, t time.Time) bool {
	start, _, open := s.Session(t)
	return s.set && open && created.Before(start)
}
