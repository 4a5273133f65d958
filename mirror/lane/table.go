package lane

// Sizes of the lane table, as in bpf/onebeat.h.
const (
	Lanes      = 16
	Paths      = 5
	TableBytes = 1024
	OutputsMax = 1024 // outputs of a lane that wait for their release
)

// Sending paths (enum ob_path): a counter each, so that no two senders share
// one. The last two are those of the order NIC, the others the link NIC's.
const (
	PathEngine      = 0
	PathLink        = 1
	PathSteer       = 2
	PathEngineOrder = 3
	PathSteerOrder  = 4
)

// Flags of Config.
const (
	ConfigAuth            = 1
	ConfigSilencePromotes = 2
	ConfigChain           = 8 // as a standby this node lets rides out by its own order NIC
	// ConfigQuarantined: the writer may have gone on without this ring. It stays when
	// the process ends: the next one makes the ring another member. Programs do not
	// look at it.
	ConfigQuarantined = 1 << 31
)

// Why says what made a kernel a candidate or fenced its engine (enum ob_why).
type Why uint64

const (
	WhyNone Why = iota
	WhySlotEmpty
	WhyStuck
	WhySilent
	WhyFenced
	WhyHandover
	WhyExited
)

var whyNames = [...]string{"none", "slot-empty", "stuck", "silent", "fenced", "handover", "exited"}

func (w Why) String() string {
	if int(w) < len(whyNames) {
		return whyNames[w]
	}
	return "unknown"
}

// Config is written by cold user space before the lane leaves INIT or SYNCING.
type Config struct {
	Used            uint32 // 0: no such lane on this node
	Flags           uint32
	Node            uint32
	PeerNode        uint32 // 0: no peer
	Incarnation     uint64
	PeerIncarnation uint64
	LaneIP          [4]byte // zero: LaneIP6
	LinkIP          [4]byte
	PeerLinkIP      [4]byte
	LinkPort        [2]byte // network order
	LinkFrameMax    uint16  // bytes of the longest Ethernet frame the link NIC takes
	OrderMAC        [6]byte
	LinkMAC         [6]byte
	PeerLinkMAC     [6]byte
	OrderQueue      uint16
	LinkQueue       uint16
	PeerOrderMAC    [6]byte // as the peer told it; zero: not yet, or one path only
	OrderIP         [4]byte // this node's own on the order NIC; zero: one path only
	HeartbeatNs     uint64  // T
	TickNs          uint64  // period of the timer
	HangTicks       uint32  // on-time ticks without progress that mean: hung
	SilenceTicks    uint32  // on-time ticks without a frame that mean: silent
	TxKey           [2]uint64
	RxKey           [2]uint64
	PeerOrderIP     [4]byte
	LaneIP6         [16]byte // zero: LaneIP
}

// Engine is written by the engine's thread only.
type Engine struct {
	ProgressNs uint64 // CLOCK_MONOTONIC of the last published progress
	Applied    uint64 // position up to which the reader has applied
	Released   uint64 // position up to which outputs were let go
	TxCounter  uint64 // PathEngine
	Records    uint64
	Outputs    uint64 // released by user space
	// TxOrderCounter is PathEngineOrder's.
	TxOrderCounter uint64
}

// Peer is written by the link program, under busy.
type Peer struct {
	Frames    uint64 // authenticated frames of the peer; the timer looks for its change
	Authority uint64
	Tail      uint64 // ACKed
	Applied   uint64 // ACKed: the highest of this epoch, as are Tail and Archived
	Echo      uint64 // highest PathEngine counter that came back
	Flags     uint64 // of the last ACK
	Released  uint64 // from FENCED, FORWARD
	Archived  uint64 // ACKed by the peer's engine
}

// Second is written by the steering program for the peer's frames on the order NIC.
type Second struct {
	Busy    uint64 // 1 while it is inside for one of them
	Frames  uint64 // authenticated ones; the timer looks for its change
	Counter uint64 // PathSteerOrder
}

// Watch is written by the timer and by fencing, rarely.
type Watch struct {
	LastTickNs     uint64
	LastProgressNs uint64
	LastFrames     uint64
	LastHeardNs    uint64 // last tick at which the peer had been heard on the link NIC since the one before
	StuckTicks     uint32
	SilentTicks    uint32
	LateTicks      uint64 // ticks that were themselves late
	FencedNs       uint64
	FencedWord     uint64 // the word fencing took away
	CandidateNs    uint64
	CandidateWhy   uint64 // Why
	DeadNs         uint64 // when the engine's thread ended, or panicked; 0: it lives

	LastSecondFrames  uint64
	LastSecondHeardNs uint64 // as LastHeardNs, on the order NIC
}

// CutsKept is how many cuts a reader may miss and still learn each one's
// position.
const CutsKept = 7

// Cuts tells readers, also in other processes, that the log lost its end: Tail
// alone does not when it has grown again before they look. It is written by the
// one who writes the ring in user space; Count is odd while bytes are being taken
// off.
type Cuts struct {
	Count     uint64
	Positions [CutsKept]uint64 // by number of the cut
}

// Commit is written by the engine's thread when its part in the lane changes. It
// says what of the log every member of the in-sync set holds.
type Commit struct {
	Rule     uint64 // CommitRule, and behind it the number of changes
	Position uint64 // at least up to here
}

// Archive is written by whoever archives the ring.
type Archive struct {
	Position uint64 // up to which the archive holds this log; 0: not known
	Cuts     uint64 // how many of the log's cuts it has followed: Cuts.Count
}

// Table is struct ob_lane. Fields that several threads touch are accessed with
// sync/atomic; the padding keeps each writer's fields on lines of their own.
type Table struct {
	Config Config
	_      [32]byte
	Engine Engine
	_      [8]byte
	// Tail is the kernel's in STANDBY, user space's in every other state.
	Tail uint64
	_    [56]byte
	// Busy is 1 while the link program is inside for this lane.
	Busy uint64
	_    [56]byte
	Peer Peer
	// NextOutput is advanced by compare-and-swap, by kernel or engine. In STANDBY it is
	// the link program's: of the writer's outputs, counted anew in each epoch.
	NextOutput uint64
	_          [56]byte
	// LinkCounter and RxCounter: the link program's own counter and the last
	// seen of the peer's paths.
	LinkCounter  uint64
	RxCounter    [Paths]uint64
	_            [16]byte
	SteerCounter uint64
	_            [56]byte
	Second       Second
	_            [40]byte
	Watch        Watch
	_            [24]byte
	Cuts         Cuts
	Commit       Commit
	_            [48]byte
	Archive      Archive
	_            [48]byte
}
