package snapshot

// Status is what a lane's keeper of snapshots says.
type Status struct {
	Dir   string `json:"dir,omitempty"` // empty: none are kept
	State string `json:"state"`         // idle, replaying, following, ahead of the archive (which fails, or is slow), waiting, failing, diverged, restoring, missing
	// Position is how far the keeper's own machine has replayed the archive, Behind
	// how many archived bytes it has not.
	Position uint64 `json:"position"`
	Behind   uint64 `json:"behind_bytes"`
	// Newest is the position of the newest snapshot, of the wall clock's NewestNs;
	// Oldest that of the oldest one, whose log is kept.
	Newest   uint64 `json:"newest"`
	NewestNs int64  `json:"newest_ns"`
	Oldest   uint64 `json:"oldest"`
	// Spare is the position of a state that is kept in the run directory while the
	// archive takes nothing, for a standby that comes back; 0: there is none.
	Spare     uint64 `json:"spare,omitempty"`
	Files     int    `json:"files"`
	FileBytes int64  `json:"file_bytes"`
	Written   uint64 `json:"written"`
	Failures  uint64 `json:"failures"`
	LastError string `json:"last_error,omitempty"` // empty: none, or it is over
	// Restored says how this process got its state, if its ring could not tell.
	Restored *Restored `json:"restored,omitempty"`
}

// Restored is a state rebuilt from a snapshot, an archive and the ring.
type Restored struct {
	Snapshot uint64  `json:"snapshot"` // position it began at; 0: the log's beginning
	Position uint64  `json:"position"` // from where the ring goes on
	Records  uint64  `json:"records"`  // replayed from the archive
	Seconds  float64 `json:"seconds"`
}
