package control

import "time"

// ExportStatus is what an exporter says about itself.
type ExportStatus struct {
	Name    string       `json:"name"`
	PID     int          `json:"pid"`
	Version string       `json:"version"`
	Since   time.Time    `json:"since"`
	Feeds   []FeedStatus `json:"feeds"`
}

// FeedStatus is one lane's read model at one target.
type FeedStatus struct {
	Lane   int    `json:"lane"`
	Target string `json:"target"`
	Where  string `json:"where"`
	State  string `json:"state"`

	Position uint64    `json:"position"` // behind the last record stored
	Epoch    uint32    `json:"epoch"`    // of that record
	TimeNs   int64     `json:"time_ns"`  // lane time of it
	Records  uint64    `json:"records"`  // stored, since the log's beginning
	StoredAt time.Time `json:"stored_at,omitzero"`
	Read     uint64    `json:"read"` // behind the last record read

	// BehindBytes of the log are read and not stored; BehindNs is how long there was
	// something to store without a moment in which there was not. 0 and 0: current.
	BehindBytes uint64 `json:"behind_bytes"`
	BehindNs    int64  `json:"behind_ns"`

	// Since the process began.
	Batches    uint64  `json:"batches"`
	Orders     uint64  `json:"orders"`
	Executions uint64  `json:"executions"`
	Positions  uint64  `json:"positions"`
	StoreSecs  float64 `json:"store_seconds"` // spent in the target
	Failures   uint64  `json:"failures"`
	Failing    bool    `json:"failing"` // the last thing tried failed
	LastError  string  `json:"last_error,omitempty"`
}
