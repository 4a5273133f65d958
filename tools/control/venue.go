package control

// VenueStatus is one venue of a gateway.
type VenueStatus struct {
	Name       string `json:"name"`
	State      string `json:"state"` // of its session: "linked" takes orders
	Breaker    string `json:"breaker"`
	Sent       uint64 `json:"sent"`
	Unanswered uint64 `json:"unanswered"` // requests without any answer
	Queued     uint64 `json:"queued"`     // requests that wait for the throttle
	Refused    uint64 `json:"refused"`    // for throttle, queue, window and breaker
}
