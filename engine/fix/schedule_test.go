package fix

import (
	"testing"
	"time"
)

func TestSchedules(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse("2006-01-02 15:04:05", s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range []struct {
		start, end, zone string
		days             []string
		startDay, endDay string
		now              string // UTC
		open             bool
		created          string
		expired          bool
	}{
		{now: "2026-03-01 12:00:00", open: true, created: "2020-01-01 00:00:00"},
		{start: "07:00:00", end: "18:00:00", now: "2026-03-02 12:00:00", open: true, created: "2026-03-02 07:00:00"},
		{start: "07:00:00", end: "18:00:00", now: "2026-03-02 12:00:00", open: true, created: "2026-03-01 17:00:00", expired: true},
		{start: "07:00:00", end: "18:00:00", now: "2026-03-02 18:00:00"},
		{start: "07:00:00", end: "18:00:00", now: "2026-03-02 06:59:59"},
		// London is an hour ahead in summer; its clocks go forward on 2026-03-29.
		{start: "07:00:00", end: "18:00:00", zone: "Europe/London", now: "2026-03-28 06:30:00"},
		{start: "07:00:00", end: "18:00:00", zone: "Europe/London", now: "2026-03-29 06:30:00", open: true, created: "2026-03-29 05:59:00", expired: true},
		{start: "07:00:00", end: "18:00:00", zone: "Europe/London", now: "2026-03-29 17:30:00"},
		// Over midnight.
		{start: "22:00:00", end: "05:00:00", now: "2026-03-03 04:00:00", open: true, created: "2026-03-02 23:00:00"},
		{start: "22:00:00", end: "05:00:00", now: "2026-03-03 06:00:00"},
		{start: "22:00:00", end: "05:00:00", days: []string{"monday"}, now: "2026-03-03 04:00:00", open: true, created: "2026-03-02 22:00:00"},
		{start: "22:00:00", end: "05:00:00", days: []string{"tuesday"}, now: "2026-03-03 04:00:00"},
		{start: "17:00:00", end: "17:00:00", now: "2026-03-03 16:00:00", open: true, created: "2026-03-02 16:59:00", expired: true},
		// From Sunday evening to Friday.
		{start: "18:00:00", end: "17:00:00", startDay: "sunday", endDay: "friday", now: "2026-03-04 03:00:00", open: true, created: "2026-03-01 18:00:00"},
		{start: "18:00:00", end: "17:00:00", startDay: "sunday", endDay: "friday", now: "2026-03-04 03:00:00", open: true, created: "2026-02-27 10:00:00", expired: true},
		{start: "18:00:00", end: "17:00:00", startDay: "sunday", endDay: "friday", now: "2026-03-06 17:00:00"},
		{start: "18:00:00", end: "17:00:00", startDay: "sunday", endDay: "friday", now: "2026-03-01 17:00:00"},
		{start: "18:00:00", end: "17:00:00", startDay: "friday", endDay: "friday", now: "2026-03-05 12:00:00", open: true, created: "2026-02-27 18:00:00"},
	} {
		s, err := NewSchedule(c.start, c.end, c.zone, c.days, c.startDay, c.endDay)
		if err != nil {
			t.Fatal(err)
		}
		_, _, open := s.Session(at(c.now))
		if open != c.open {
			t.Errorf("%+v: open %v", c, open)
		}
		if c.created != "" && s.Expired(at(c.created), at(c.now)) != c.expired {
			t.Errorf("%+v: expired %v", c, !c.expired)
		}
	}
	for _, bad := range [][]string{{"7:00", "18:00:00", ""}, {"07:00:00", "25:00:00", ""}, {"07:00:00", "18:00:00", "Nowhere/Else"}} {
		if _, err := NewSchedule(bad[0], bad[1], bad[2], nil, "", ""); err == nil {
			t.Errorf("%v is a schedule", bad)
		}
	}
}

// TestNumbersBeginAnewWithTheSession: who logs on in a new session finds 1 on both sides;
// who is logged on at the end of one hears of it.
func TestNumbersBeginAnewWithTheSession(t *testing.T) {
	var err error
	s := twoSessions(t)
	if s[0].Schedule, err = NewSchedule("07:00:00", "18:00:00", "", nil, "", ""); err != nil {
		t.Fatal(err)
	}
	s[0].Latency = -1
	var now clockHand
	now.set(time.Date(2026, 3, 2, 17, 59, 0, 0, time.UTC))
	a, _, address := serve(t, Config{Sessions: s, Now: now.get})
	c := dial(t, address, "GOOD")
	c.logon("")
	c.works()
	now.set(time.Date(2026, 3, 2, 18, 0, 1, 0, time.UTC))
	c.expect("5")
	c.send("5", "")
	c.ends()
	c = dial(t, address, "GOOD")
	c.sendAs("4", "A", "98=0|108=30|")
	c.ends()
	if a.Counts.Of(CountOutOfSchedule) == 0 {
		t.Error("somebody is let in at night")
	}
	now.set(time.Date(2026, 3, 3, 7, 0, 1, 0, time.UTC))
	c = dial(t, address, "GOOD")
	c.logon("") // with number 1, and is answered with 1
	c.works()
}
