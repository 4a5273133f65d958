package control

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"onebeat/mirror/archive"
	"onebeat/mirror/fence"
	"onebeat/mirror/policy"
	"onebeat/mirror/snapshot"
	"onebeat/mirror/stream"
	"onebeat/tools/hook"
	"onebeat/tools/track"
)

// Commands.
const (
	CmdStatus  = "status"
	CmdPromote = "promote"
	CmdForce   = "force" // an operator's word: go on from the log this node has
	CmdOrders  = "orders"
	CmdStop    = "stop"
	CmdPolicy  = "policy"  // change what a lane's outputs wait for: SetPolicy
	CmdOperate = "operate" // a command of an operator that stands in the lane's log: Operate
	CmdSeed    = "seed"    // of a witness: an operator says what a lane's record is
	CmdPanic   = "panic"   // in the loop of a lane: for drills
)

// Request is one line to a node.
type Request struct {
	Cmd  string `json:"cmd"`
	Lane int    `json:"lane,omitempty"`
	All  bool   `json:"all,omitempty"` // of CmdPromote: every lane the node serves
	By   string `json:"by,omitempty"`  // of CmdForce and CmdSeed: who and why

	Group  string `json:"group,omitempty"`  // of CmdSeed
	Record string `json:"record,omitempty"` // of CmdSeed

	SetPolicy *SetPolicy `json:"set_policy,omitempty"` // of CmdPolicy
	Operate   *Operate   `json:"operate,omitempty"`    // of CmdOperate
	Show      *Show      `json:"show,omitempty"`       // of CmdShow
}

// SetPolicy changes a lane's release policy. What is empty stays as it is.
type SetPolicy struct {
	Lane      int    `json:"lane"`
	Policy    string `json:"policy,omitempty"`
	Wait      string `json:"wait,omitempty"` // a duration, or forever
	OnTimeout string `json:"on_timeout,omitempty"`
	Copies    *int   `json:"copies,omitempty"`
	By        string `json:"by"` // who and why
}

// Release is what a lane's outputs wait for, and how that stands.
type Release struct {
	Policy    string `json:"policy"`
	Wait      string `json:"wait"`
	OnTimeout string `json:"on_timeout,omitempty"`
	Copies    int    `json:"copies"`
	// Revision counts the changes at run time; 0: as configured. Position is that
	// of the last one's record, By who made it and why.
	Revision uint32 `json:"revision"`
	Position uint64 `json:"position,omitempty"`
	By       string `json:"by,omitempty"`

	PeerApplied  uint64 `json:"peer_applied"`  // as it said in this epoch
	PeerArchived uint64 `json:"peer_archived"` // the same, where the policy asks for it
	// Degraded says what answers leave without; empty: nothing.
	Degraded string `json:"degraded,omitempty"`
	Refusing bool   `json:"refusing,omitempty"` // orders are refused
}

// Waits reports whether anybody is waited for.
func (r *Release) Waits() bool { return r.Policy != policy.NameNone }

// Reply is the line that answers what has no answer of its own. A node that
// refuses says why, whatever was asked.
type Reply struct {
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}

// Promoted says which lanes a node gave to their standbys.
type Promoted struct {
	Lanes []int `json:"lanes"`
}

// Status is what a node says about itself. Times are CLOCK_MONOTONIC.
type Status struct {
	Name      string       `json:"name"`
	Number    int          `json:"number"`
	PID       int          `json:"pid"`
	Transport string       `json:"transport"`
	Version   string       `json:"version"`
	NowNs     int64        `json:"now_ns"`
	Memory    Memory       `json:"memory"`
	Threads   int          `json:"threads"`   // that run the lanes
	Strangers uint64       `json:"strangers"` // who were refused at the control socket
	Lanes     []LaneStatus `json:"lanes"`
	// Kernel are the programs' counted reasons; transport xdp only.
	Kernel map[string]uint64 `json:"kernel,omitempty"`

	Checks []track.CheckStatus `json:"checks,omitempty"`
	Fences []fence.Status      `json:"fences,omitempty"` // by peer
	Hooks  []hook.Status       `json:"hooks,omitempty"`
}

// Memory is what the process holds and what its runtime did.
type Memory struct {
	ResidentBytes uint64 `json:"resident_bytes"`
	Allocs        uint64 `json:"allocs"` // heap objects since the start
	GCCycles      uint64 `json:"gc_cycles"`
	Goroutines    int    `json:"goroutines"`
}

// CatchUp is what a node fetches of a lane from its peer.
type CatchUp struct {
	Doing    string `json:"doing"`
	Position uint64 `json:"position"` // up to which the log has come
}

// LaneStatus is one lane of a node.
type LaneStatus struct {
	ID       int    `json:"id"`
	App      string `json:"app"`
	Policy   string `json:"policy"` // in force, as in Release
	State    string `json:"state"`  // of the authority word
	Epoch    uint32 `json:"epoch"`
	First    bool   `json:"first"`
	Tail     uint64 `json:"tail"`
	Applied  uint64 `json:"applied"`
	Released uint64 `json:"released"`
	Records  uint64 `json:"records"`
	Outputs  uint64 `json:"outputs"`

	// Where it runs: the NIC (or address) of its cable, the rx queue of the order
	// NIC, the node's thread from 0, and that one's core, -1 for any.
	Link   string `json:"link,omitempty"`
	Queue  int    `json:"queue"`
	Thread int    `json:"thread"`
	Core   int    `json:"core"`

	Peer          int    `json:"peer"` // 0: none
	PeerState     string `json:"peer_state"`
	PeerEpoch     uint32 `json:"peer_epoch"`
	PeerTail      uint64 `json:"peer_tail"`
	Paths         int    `json:"paths"`          // to the peer: the link NIC, and the order NIC if configured
	LinkHeardNs   int64  `json:"link_heard_ns"`  // when the peer was last heard on the link NIC; 0: never
	OrderHeardNs  int64  `json:"order_heard_ns"` // and on the order NIC
	Silent        bool   `json:"silent"`         // nothing of the peer for a heartbeat, on any path
	InSync        bool   `json:"in_sync"`        // the recorded set names both nodes
	Alone         bool   `json:"alone"`          // degraded: goes on without its peer
	ProgressNs    int64  `json:"progress_ns"`
	FencedNs      int64  `json:"fenced_ns"`    // 0: never
	CandidateNs   int64  `json:"candidate_ns"` // 0: never
	CandidateWhy  string `json:"candidate_why"`
	ActiveNs      int64  `json:"active_ns"`       // when this engine last became ACTIVE; 0: never
	FirstAnswerNs int64  `json:"first_answer_ns"` // first output released since then; 0: none

	Venues []VenueStatus `json:"venues,omitempty"` // of a gateway, as this node applies them

	// Stops say who may not order until a person ends it; nil: everybody may.
	Stops *Stops `json:"stops,omitempty"`

	Arbitration string         `json:"arbitration"`
	Arbiter     *ArbiterStatus `json:"arbiter,omitempty"` // witness or etcd
	// Record is the record of the lane in this node's log; empty: none.
	Record string `json:"record"`

	Answers   bool   `json:"answers"` // the loop answered; what only it knows is set
	Diverged  bool   `json:"diverged"`
	Digest    uint64 `json:"digest"` // of the state
	LateTicks uint64 `json:"late_ticks"`

	// Health says how fit this node is to serve the lane; nil without a peer.
	Health *Health `json:"health,omitempty"`

	// Release is what outputs wait for.
	Release Release `json:"release"`

	// CatchUp is nil when nothing is being fetched from the peer.
	CatchUp *CatchUp `json:"catch_up,omitempty"`
	// Copies are further hosts that keep the log, as they last said.
	Copies []stream.Copy `json:"copies,omitempty"`
	// Archive is nil when the log is in memory only.
	Archive *archive.Status `json:"archive,omitempty"`
	// Snapshots is nil when none are kept and the ring told the state.
	Snapshots *snapshot.Status `json:"snapshots,omitempty"`

	Counters map[string]uint64 `json:"counters,omitempty"`
}

// ArbiterStatus is what the keeper of a lane's record last said to this node.
type ArbiterStatus struct {
	AnsweredNs int64  `json:"answered_ns"` // 0: never
	RoundNs    int64  `json:"round_ns"`    // how long that answer took
	Silent     bool   `json:"silent"`      // not heard for seconds
	Known      bool   `json:"known"`       // it has a record of the lane
	Record     string `json:"record"`
	Boot       string `json:"boot"` // of the memory it is in
}

// Health is a score and what follows from it.
type Health struct {
	track.Score
	HandoverAt int  `json:"handover_at"` // 0: a score hands nothing over
	ChecksOnly bool `json:"checks_only"` // only failing checks count for the line
	// Reason why the lane is handed over, or not although the score says so.
	Reason string `json:"reason,omitempty"`
}

// Lane returns the status of a lane, or nil.
func (s *Status) Lane(id int) *LaneStatus {
	for i := range s.Lanes {
		if s.Lanes[i].ID == id {
			return &s.Lanes[i]
		}
	}
	return nil
}

// Errors of a conversation.
var (
	ErrNoNode  = errors.New("no node answers")
	ErrRefused = errors.New("the node refused")
)

// SocketPath returns where a node listens.
func SocketPath(runDir, name string) string { return filepath.Join(runDir, name+".sock") }

// Call sends one request and reads its answer into out, a *Status, a *Promoted or nil.
func Call(path string, r Request, out any, timeout time.Duration) error {
	conn, err := net.DialTimeout("unix", path, timeout)
	if err != nil {
		remedy := "is it running, and is run_dir that of its configuration?"
		if errors.Is(err, os.ErrPermission) {
			remedy = "the socket belongs to the node's user: use sudo"
		}
		return fmt.Errorf("%w at %s: %w; %s", ErrNoNode, path, err, remedy)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if _, err := conn.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("%s to %s: %w", r.Cmd, path, err)
	}
	line, err := bufio.NewReader(conn).ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("answer to %s from %s: %w", r.Cmd, path, err)
	}
	var reply Reply
	if err := json.Unmarshal(line, &reply); err != nil {
		return fmt.Errorf("answer to %s from %s: %w", r.Cmd, path, err)
	}
	if reply.Error != "" {
		return fmt.Errorf("%w to %s: %s", ErrRefused, r.Cmd, reply.Error)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(line, out)
}
