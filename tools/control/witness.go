package control

import "time"

// WitnessStatus is what a witness says about itself.
type WitnessStatus struct {
	Name      string            `json:"name"`
	PID       int               `json:"pid"`
	Version   string            `json:"version"`
	Listen    string            `json:"listen"`
	Boot      string            `json:"boot"` // of its memory: another one after each start
	Since     time.Time         `json:"since"`
	Groups    []string          `json:"groups"`
	Registers []Register        `json:"registers"` // known or asked for
	Seeds     []Seed            `json:"seeds"`     // by operators; the last ones
	Counters  map[string]uint64 `json:"counters"`
	Etcd      *EtcdStatus       `json:"etcd,omitempty"` // an embedded member instead of registers in memory
}

// EtcdStatus is an embedded member of an etcd cluster.
type EtcdStatus struct {
	Member  string `json:"member"`
	Leader  string `json:"leader"` // 0: the cluster has none, and answers nobody
	DataDir string `json:"data_dir"`
}

// Register is one lane's record at a witness.
type Register struct {
	Group  string `json:"group"`
	Lane   int    `json:"lane"`
	Known  bool   `json:"known"` // false: it was asked for, and must be seeded
	Record string `json:"record"`
}

// Seed is what an operator told a witness.
type Seed struct {
	At     time.Time `json:"at"`
	Group  string    `json:"group"`
	Lane   int       `json:"lane"`
	Record string    `json:"record"`
	By     string    `json:"by"` // who: why
}

// Register returns the register of a group's lane, or nil. An empty group means
// any.
func (s *WitnessStatus) Register(group string, laneID int) *Register {
	for i := range s.Registers {
		if r := &s.Registers[i]; r.Lane == laneID && (group == "" || r.Group == group) {
			return r
		}
	}
	return nil
}
