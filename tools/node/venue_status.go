package node

import (
	"onebeat/engine/fixp"
	"onebeat/engine/venue"
	"onebeat/tools/config"
	"onebeat/tools/control"
)

// venueStatus tells of a lane's venues, by their counters.
func venueStatus(l *config.Lane, counts map[string]uint64) (list []control.VenueStatus) {
	for i := range l.Venues {
		name := l.Venues[i].Name
		of := func(counter string) uint64 { return counts["venue_"+name+"_"+counter] }
		list = append(list, control.VenueStatus{Name: name, State: fixp.LinkState(of("state")).String(),
			Breaker: venue.BreakerState(of("breaker")).String(), Sent: of("sent"), Unanswered: of("unanswered"), Queued: of("queue"),
			Refused: of("throttled") + of("queue_full") + of("window_full") + of("circuit_open")})
	}
	return list
}
